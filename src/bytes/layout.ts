/**
 * Offset tables of fixed-size structures, little-endian. One table gives decode, encode, an annotated dump
 * and the rows of the format's README; hot loops use its offsets as constants.
 */
import { CorruptError, type Where } from '../errors.ts';
import { safeNumber } from './cursor.ts';

type FieldType = 'u16' | 'u32' | 'u64' | 'id';

/** One field: its type and its offset from the start of the structure, in bytes. */
export interface Field<V extends number | bigint = number | bigint> {
  readonly type: FieldType;
  readonly offset: number;
  readonly size: number;
  /** Only for inference. */
  readonly value?: V;
}

const field =
  <V extends number | bigint>(type: FieldType, size: number) =>
  (offset: number): Field<V> => ({ type, offset, size });

export const u16 = field<number>('u16', 2);
export const u32 = field<number>('u32', 4);
/** A count, offset, page id or the like; above 2^53−1 it decodes to damage. */
export const u64 = field<number>('u64', 8);
/** A 64-bit identity, hash or sentinel; any value is legal. */
export const id64 = field<bigint>('id', 8);

type Fields = Record<string, Field>;
type ValueOf<F> = F extends Field<infer V> ? V : never;
type Struct<F extends Fields> = { [K in keyof F]: ValueOf<F[K]> };

/** A fixed-size structure. */
export interface Layout<F extends Fields> {
  readonly name: string;
  readonly size: number;
  readonly fields: F;
  /** Reads the structure at `bytes[at]`. */
  decode(bytes: Uint8Array, at?: number, where?: Where): Struct<F>;
  /** Writes the structure at `bytes[at]`. */
  encode(value: Struct<F>, bytes: Uint8Array, at?: number): void;
}

/** Builds a layout; throws at load when fields overlap, leave a gap or do not fill `size`. */
export function layout<F extends Fields>(name: string, size: number, fields: F): Layout<F> {
  let end = 0;
  for (const [key, { offset, size: width }] of Object.entries(fields)) {
    if (offset !== end) throw new TypeError(`${name}.${key} is at ${offset}, expected ${end}`);
    end = offset + width;
  }
  if (end !== size) throw new TypeError(`${name} fills ${end} bytes of ${size}`);
  const entries = Object.entries(fields);

  return {
    name,
    size,
    fields,
    decode(bytes, at = 0, where) {
      if (at < 0 || at + size > bytes.length) {
        throw new CorruptError(
          'bytes.truncated',
          `${name} needs ${size} bytes at ${at} of ${bytes.length}`,
          where ? { where } : {},
        );
      }
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const value: Record<string, number | bigint> = {};
      for (const [key, { type, offset }] of entries) {
        value[key] = readField(view, type, at + offset, `${name} ${key}`, where);
      }
      return value as Struct<F>;
    },
    encode(value, bytes, at = 0) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      for (const [key, { type, offset }] of entries) {
        const part = (value as Record<string, number | bigint>)[key]!;
        if (type === 'u16') view.setUint16(at + offset, Number(part), true);
        else if (type === 'u32') view.setUint32(at + offset, Number(part), true);
        else view.setBigUint64(at + offset, BigInt(part), true);
      }
    },
  };
}

function readField(
  view: DataView,
  type: FieldType,
  at: number,
  what: string,
  where?: Where,
): number | bigint {
  if (type === 'u16') return view.getUint16(at, true);
  if (type === 'u32') return view.getUint32(at, true);
  const value = view.getBigUint64(at, true);
  return type === 'id' ? value : safeNumber(value, what, where);
}
