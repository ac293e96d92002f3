/**
 * The vocabulary of field tables: what kinds of fields there are, when they are present, and the TypeScript
 * type that a table of them stands for.
 */
import type { Where } from '../../errors.ts';
import { WIRE_TYPE, type WireType } from './wire.ts';

export type Scalar = 'uint64' | 'int64' | 'count' | 'uint32' | 'enum' | 'bool' | 'bytes' | 'text';
export type Kind = Scalar | 'message';

/**
 * `implicit`: proto3; zero is not written. `always`: proto2, where gogo (etcd 3.4–3.6) writes zeros too and
 * google's library (3.7) only what was set. `optional`: absent and zero are two things.
 */
export type Presence = 'implicit' | 'always' | 'optional';

/** One field. `V` is its value, `O` whether it may be absent from a decoded message. */
export interface Field<V = unknown, O extends boolean = boolean> {
  readonly number: number;
  readonly kind: Kind;
  readonly presence: Presence;
  readonly isRepeated: boolean;
  readonly isPacked: boolean;
  /** Members of one group exclude each other; the last one on the wire counts. */
  readonly group?: string;
  /** Of a `message` field; a function where messages contain themselves. */
  readonly of?: Message<unknown> | (() => Message<unknown>);
  /** Of a `bytes` field that stands where the schema has a message: what the bytes are. */
  readonly holds?: Message<unknown>;
  /** The name in the schema, where it is not the key in snake_case. */
  readonly textName?: string;
  /** Names of an enum's members, by their number. */
  readonly names?: readonly string[];
  /** Only for inference. */
  readonly value?: V;
  /** Only for inference. */
  readonly absent?: O;
}

/** `write`: gogo, etcd 3.4–3.6. `omit`: google's library, 3.7. Matters only for proto2 messages. */
export type Zeros = 'write' | 'omit';

interface EncodeOptions {
  zeros: Zeros;
}

/** One kind of message. */
export interface Message<V> {
  readonly name: string;
  readonly fields: Fields;
  /** Reads one from all of `bytes`. Byte fields are views of it. Throws `CorruptError` `proto.malformed`. */
  decode(bytes: Uint8Array, where?: Where): V;
  encode(value: Input<V>, options?: EncodeOptions): Uint8Array;
}

const scalar =
  <V>(kind: Scalar) =>
  (number: number): Field<V, false> => ({
    number,
    kind,
    presence: 'implicit',
    isRepeated: false,
    isPacked: false,
  });

/** A 64-bit identity or whatever else may use all 64 bits. */
export const uint64 = scalar<bigint>('uint64');
/** What a client may send: any value is legal. */
export const int64 = scalar<bigint>('int64');
/** An index, term, revision, time or count; above 2^53−1, or negative, it decodes to damage. */
export const count = scalar<number>('count');
export const uint32 = scalar<number>('uint32');
/** A signed 32-bit number; unknown ones are kept. `names` are the schema's, in the order of their numbers. */
export function choice(number: number, names?: readonly string[]): Field<number, false> {
  const field = scalar<number>('enum')(number);
  return names === undefined ? field : { ...field, names };
}
export const bool = scalar<boolean>('bool');
/** Decodes to a view of the input, not a copy. */
export const bytes = scalar<Uint8Array>('bytes');
/** UTF-8; anything else is damage. */
export const text = scalar<string>('text');

/** A message within. It may be absent, unless `always`. */
export function embed<V>(number: number, of: Message<V> | (() => Message<V>)): Field<V, true> {
  return { number, kind: 'message', presence: 'optional', isRepeated: false, isPacked: false, of };
}

/** A message that stays encoded; an absent one is empty. */
export function encoded(number: number, holds: Message<unknown>): Field<Uint8Array, false> {
  return { ...bytes(number), holds };
}

/** A field whose name in the schema does not follow from its key. */
export function named<F extends Field>(textName: string, field: F): F {
  return { ...field, textName };
}

/** Decodes to its zero when absent; see {@link Presence}. */
export function always<V>(field: Field<V>): Field<V, false> {
  return { ...(field as Field<V, false>), presence: 'always' };
}

/** May be absent, and is written whenever it is given. */
export function optional<V>(field: Field<V>): Field<V, true> {
  return { ...(field as Field<V, true>), presence: 'optional' };
}

/** One of several; see {@link Field.group}. */
export function oneOf<V>(group: string, field: Field<V>): Field<V, true> {
  return { ...optional(field), group };
}

/** Any number of them; read packed and unpacked, written unpacked. */
export function repeated<V>(field: Field<V>): Field<V[], false> {
  return { ...(field as unknown as Field<V[], false>), presence: 'implicit', isRepeated: true };
}

/** Any number of numbers, written as one run: what proto3 does. */
export function packed<V extends number | bigint | boolean>(field: Field<V>): Field<V[], false> {
  return { ...repeated(field), isPacked: true };
}

/** What a kind looks like on the wire. */
export function wireTypeOf(kind: Kind): WireType {
  return kind === 'bytes' || kind === 'text' || kind === 'message' ? WIRE_TYPE.bytes : WIRE_TYPE.varint;
}

export type Fields = Record<string, Field>;
type ValueOf<F> = F extends Field<infer V> ? V : never;
type CanBeAbsent<F> = F extends { readonly absent?: infer O } ? (O extends false ? false : true) : never;

/** What a table decodes to. */
export type Decoded<F extends Fields> = Flat<
  { [K in keyof F as CanBeAbsent<F[K]> extends true ? never : K]: ValueOf<F[K]> } & {
    [K in keyof F as CanBeAbsent<F[K]> extends true ? K : never]?: ValueOf<F[K]>;
  }
>;
type Flat<T> = { [K in keyof T]: T[K] };

/** What can be encoded: every field may be left out, also inside. */
export type Input<V> = V extends Uint8Array | string | number | bigint | boolean
  ? V
  : V extends readonly (infer E)[]
    ? readonly Input<E>[]
    : { readonly [K in keyof V]?: Input<V[K]> | undefined };
