/**
 * Messages from field tables: decode, encode and the value's type come from one table, without generated
 * code. A decoded message remembers what its table does not name, and which zeros were not written, so that
 * encoding it again gives the bytes etcd wrote.
 */
import { CorruptError, type Where } from '../../errors.ts';
import { Cursor } from '../../bytes/cursor.ts';
import { Writer } from '../../bytes/writer.ts';
import type { Decoded, Field, Fields, Kind, Message, Zeros } from './field.ts';
import { wireTypeOf } from './field.ts';
import { DEPTH_MAX, WIRE_TYPE, checkDepth, readEnd, readTag, skipField, writeTag } from './wire.ts';

/** Carries, on a decoded message, what its fields do not; copied along by `{...value}`. */
export const REST: unique symbol = Symbol('rest');
interface Rest {
  /** Fields the table does not know, tags included; a piece for each in which the message came. */
  unknown?: Uint8Array[];
  /** `always` fields that were not on the wire. */
  absent?: readonly string[];
}

/** The type a message decodes to: `Value<typeof keyValue>`. */
export type Value<M> = M extends Message<infer V> ? V : never;

type Loose = Record<string, unknown> & { [REST]?: Rest };

/** A table made ready for use. */
interface Plan {
  name: string;
  /** In the order of field numbers, which is the order on the wire. */
  entries: Entry[];
  byNumber: Map<number, Entry>;
  always: Entry[];
  /** Those that have a value also when they are not on the wire. */
  implicit: Entry[];
  /** By key, of a message with so many fields that most are absent. */
  byKey: Map<string, Entry> | undefined;
}

interface Entry {
  key: string;
  field: Field;
  /** Other members of its group. */
  rivals: string[];
}

/** Above so many fields it pays to look at those that are there. */
const SPARSE_MIN = 16;

const plans = new WeakMap<Message<unknown>, Plan>();
const NOTHING = new Uint8Array();
const TWO_32 = 2 ** 32;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const toUtf8 = new TextEncoder();

interface MessageOptions {
  /** How deep messages may nest in it. */
  depthMax?: number;
}

/** Builds a message from its table; throws at load when a number is used twice. */
export function message<F extends Fields>(
  name: string,
  fields: F,
  { depthMax = DEPTH_MAX }: MessageOptions = {},
): Message<Decoded<F>> {
  const plan = planOf(name, fields);
  const self: Message<Decoded<F>> = {
    name,
    fields,
    decode(bytes, where = {}) {
      try {
        return decodeFields(plan, new Cursor(bytes, where), DEPTH_MAX - depthMax, {}) as Decoded<F>;
      } catch (error) {
        throw malformed(name, error, where);
      }
    },
    encode(value, { zeros } = { zeros: 'omit' }) {
      const writer = takeWriter();
      encodeFields(writer, plan, value as Loose, zeros, DEPTH_MAX - depthMax);
      return writer.finish();
    },
  };
  plans.set(self, plan);
  return self;
}

function planOf(name: string, fields: Fields): Plan {
  const entries = Object.entries(fields)
    .map(([key, field]): Entry => ({ key, field, rivals: rivalsOf(fields, key) }))
    .sort((a, b) => a.field.number - b.field.number);
  const byNumber = new Map(entries.map((entry) => [entry.field.number, entry]));
  if (byNumber.size !== entries.length) throw new TypeError(`${name} uses a field number twice`);
  const always = entries.filter(({ field }) => field.presence === 'always');
  const implicit = entries.filter(({ field }) => field.isRepeated || field.presence === 'implicit');
  const isSparse = entries.length > SPARSE_MIN && always.length === 0;
  const byKey = isSparse ? new Map(entries.map((entry) => [entry.key, entry])) : undefined;
  return { name, entries, byNumber, always, implicit, byKey };
}

function rivalsOf(fields: Fields, key: string): string[] {
  const group = fields[key]?.group;
  if (group === undefined) return [];
  return Object.keys(fields).filter((other) => other !== key && fields[other]?.group === group);
}

function planWithin(field: Field): Plan {
  const of = typeof field.of === 'function' ? field.of() : field.of;
  return plans.get(of!)!;
}

function malformed(name: string, error: unknown, where: Where): unknown {
  if (!(error instanceof CorruptError)) return error;
  const field = error.where?.field;
  return new CorruptError('proto.malformed', `${name} does not decode: ${error.message}`, {
    where: { ...where, ...error.where, ...(field === undefined ? {} : { field: `${name}.${field}` }) },
    cause: error,
  });
}

function decodeFields(plan: Plan, cursor: Cursor, depth: number, into: Loose): Loose {
  checkDepth(cursor, depth);
  const seen: string[] = [];
  const unknown: Uint8Array[] = [];
  for (const { key, field } of plan.implicit)
    if (into[key] === undefined) into[key] = field.isRepeated ? [] : zeroOf(field.kind);
  while (cursor.remaining > 0) {
    const start = cursor.at;
    const tag = readTag(cursor);
    const entry = plan.byNumber.get(tag >>> 3);
    if (!entry) {
      skipField(cursor, tag);
      unknown.push(cursor.bytes.subarray(start, cursor.at));
      continue;
    }
    try {
      decodeField(entry, tag & 7, cursor, depth, into);
    } catch (error) {
      throw inField(entry.key, error);
    }
    if (entry.field.presence === 'always') seen.push(entry.key);
  }
  settleAbsent(plan, seen, into);
  if (unknown.length > 0) keepUnknown(into, Uint8Array.from(Buffer.concat(unknown)));
  return into;
}

/** Gives `always` fields that never came their zero, and notes that they did not come. */
function settleAbsent(plan: Plan, seen: readonly string[], into: Loose): void {
  const absent: string[] = [];
  for (const { key, field } of plan.always) {
    if (into[key] !== undefined || seen.includes(key)) continue;
    into[key] =
      field.kind === 'message'
        ? decodeFields(planWithin(field), new Cursor(NOTHING), 0, {})
        : zeroOf(field.kind);
    absent.push(key);
  }
  if (absent.length > 0) into[REST] = { ...into[REST], absent };
}

function inField(key: string, error: unknown): unknown {
  if (!(error instanceof CorruptError)) return error;
  const inner = error.where?.field;
  const field = inner === undefined ? key : `${key}.${inner}`;
  return new CorruptError(error.code, error.message, {
    where: { ...error.where, field },
    cause: error.cause,
  });
}

function keepUnknown(into: Loose, piece: Uint8Array): void {
  const { unknown } = into[REST] ?? {};
  // Not joined: a message may come in very many pieces.
  if (unknown) unknown.push(piece);
  else into[REST] = { ...into[REST], unknown: [piece] };
}

function decodeField(entry: Entry, wireType: number, cursor: Cursor, depth: number, into: Loose): void {
  const { key, field } = entry;
  const expected = wireTypeOf(field.kind);
  if (field.isRepeated && wireType === WIRE_TYPE.bytes && expected === WIRE_TYPE.varint) {
    const run = contentOf(cursor);
    while (run.remaining > 0) (into[key] as unknown[]).push(decodeScalar(field.kind, run));
    return;
  }
  // Differs from google's library, which treats a known number of another wire type as unknown: gogo refuses
  // it, and telling a bare v2 request from a v3 one rests on that.
  if (wireType !== expected) {
    throw new CorruptError('proto.malformed', `wire type ${wireType} where ${expected} was expected`, {
      where: cursor.where(),
    });
  }
  for (const rival of entry.rivals) delete into[rival];
  let value: unknown;
  if (field.kind !== 'message') value = decodeScalar(field.kind, cursor);
  else {
    // A singular message that comes in pieces is merged; the last member of a group replaces.
    const isMerged = !field.isRepeated && field.group === undefined && into[key] !== undefined;
    const base = isMerged ? (into[key] as Loose) : {};
    value = decodeFields(planWithin(field), contentOf(cursor), depth + 1, base);
  }
  if (field.isRepeated) (into[key] as unknown[]).push(value);
  else into[key] = value;
}

/** A cursor over the length-delimited content that comes next; `cursor` goes on behind it. */
function contentOf(cursor: Cursor): Cursor {
  const end = readEnd(cursor);
  const inner = new Cursor(cursor.bytes, cursor.where(0), cursor.at, end);
  cursor.at = end;
  return inner;
}

function decodeScalar(kind: Kind, cursor: Cursor): unknown {
  switch (kind) {
    case 'uint64':
      return cursor.varint();
    case 'int64':
      return BigInt.asIntN(64, cursor.varint());
    case 'count':
      return cursor.varintNumber();
    case 'uint32':
      return cursor.varintNumber() % TWO_32;
    case 'enum':
      return decodeChoice(cursor);
    case 'bool':
      return cursor.varint() !== 0n;
    case 'bytes':
      return cursor.take(cursor.varintNumber());
    default:
      return decodeText(cursor);
  }
}

/** Nearly always one byte; a negative one takes ten. */
function decodeChoice(cursor: Cursor): number {
  const byte = cursor.bytes[cursor.at]!;
  if (cursor.remaining > 0 && byte < 0x80) {
    cursor.at++;
    return byte;
  }
  return Number(BigInt.asIntN(32, cursor.varint()));
}

function decodeText(cursor: Cursor): string {
  const run = cursor.take(cursor.varintNumber());
  try {
    return utf8.decode(run);
  } catch (cause) {
    throw new CorruptError('proto.malformed', 'text is not UTF-8', {
      where: cursor.where(cursor.at - run.length),
      cause,
    });
  }
}

function zeroOf(kind: Kind): unknown {
  switch (kind) {
    case 'uint64':
    case 'int64':
      return 0n;
    case 'bool':
      return false;
    case 'bytes':
      return NOTHING;
    case 'text':
      return '';
    default:
      return 0;
  }
}

/** All messages are encoded in one buffer, of which the result is cut out; it stays small. */
const SHARED_SIZE_MAX = 1 << 20;
let shared = new Writer(4096);

function takeWriter(): Writer {
  if (shared.capacity > SHARED_SIZE_MAX) shared = new Writer(4096);
  shared.clear();
  return shared;
}

function encodeFields(writer: Writer, plan: Plan, value: Loose, zeros: Zeros, depth: number): void {
  if (depth > DEPTH_MAX) throw new TypeError(`${plan.name} nests more than ${DEPTH_MAX} deep`);
  const rest = value[REST];
  for (const { key, field } of plan.byKey ? presentIn(value, plan.byKey) : plan.entries) {
    const part = value[key];
    if (field.isRepeated) encodeRepeated(writer, field, (part ?? []) as unknown[], zeros, depth);
    else if (field.kind === 'message') encodeWithin(writer, field, key, { part, rest, zeros, depth });
    else if (isWritten(field, key, part, rest, zeros)) {
      writeTag(writer, field.number, wireTypeOf(field.kind));
      encodeScalar(writer, field.kind, part ?? zeroOf(field.kind), `${plan.name}.${key}`);
    }
  }
  for (const piece of rest?.unknown ?? []) writer.bytes(piece);
}

function presentIn(value: Loose, byKey: ReadonlyMap<string, Entry>): Entry[] {
  const present: Entry[] = [];
  for (const key of Object.keys(value)) {
    const entry = value[key] === undefined ? undefined : byKey.get(key);
    if (entry) present.push(entry);
  }
  return present.sort((a, b) => a.field.number - b.field.number);
}

function isWritten(field: Field, key: string, part: unknown, rest: Rest | undefined, zeros: Zeros): boolean {
  if (field.presence === 'optional') return part !== undefined;
  if (field.presence === 'implicit') return part !== undefined && !isZero(part);
  if (zeros === 'write') return true;
  return part !== undefined && !(isZero(part) && rest?.absent?.includes(key));
}

function isZero(value: unknown): boolean {
  return value === 0 || value === 0n || value === false || value === '' || (value as Uint8Array).length === 0;
}

interface Within {
  part: unknown;
  rest: Rest | undefined;
  zeros: Zeros;
  depth: number;
}

function encodeWithin(writer: Writer, field: Field, key: string, { part, rest, zeros, depth }: Within): void {
  const isForced = field.presence === 'always' && zeros === 'write';
  if (part === undefined && !isForced) return;
  const start = writer.size;
  writeTag(writer, field.number, WIRE_TYPE.bytes);
  const contentAt = writer.size;
  encodeFields(writer, planWithin(field), (part ?? {}) as Loose, zeros, depth + 1);
  const isEmpty = writer.size === contentAt;
  if (isEmpty && !isForced && rest?.absent?.includes(key)) writer.size = start;
  else writer.prefixLength(contentAt);
}

function encodeRepeated(
  writer: Writer,
  field: Field,
  parts: readonly unknown[],
  zeros: Zeros,
  depth: number,
): void {
  if (parts.length === 0) return;
  if (field.isPacked) {
    writeTag(writer, field.number, WIRE_TYPE.bytes);
    const contentAt = writer.size;
    for (const part of parts) encodeScalar(writer, field.kind, part, 'a packed field');
    writer.prefixLength(contentAt);
    return;
  }
  for (const part of parts) {
    writeTag(writer, field.number, wireTypeOf(field.kind));
    if (field.kind === 'message') {
      const contentAt = writer.size;
      encodeFields(writer, planWithin(field), part as Loose, zeros, depth + 1);
      writer.prefixLength(contentAt);
    } else encodeScalar(writer, field.kind, part, 'a repeated field');
  }
}

function encodeScalar(writer: Writer, kind: Kind, value: unknown, what: string): void {
  switch (kind) {
    case 'uint64':
    case 'int64':
      writer.varint(value as bigint);
      return;
    case 'count':
    case 'uint32':
      if (!Number.isSafeInteger(value) || (value as number) < 0)
        throw new TypeError(`${what} is ${String(value)}`);
      writer.varint(value as number);
      return;
    case 'enum':
      writer.varint((value as number) < 0 ? BigInt(value as number) : (value as number));
      return;
    case 'bool':
      writer.u8(value ? 1 : 0);
      return;
    case 'bytes':
      writer.varint((value as Uint8Array).length).bytes(value as Uint8Array);
      return;
    default: {
      const encoded = toUtf8.encode(value as string);
      writer.varint(encoded.length).bytes(encoded);
    }
  }
}
