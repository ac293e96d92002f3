/**
 * Messages from JSON, as etcd's gateway reads them (protojson, unknown fields thrown away): names in both spellings,
 * 64-bit numbers as numbers or texts, bytes as base64, enums by name or number, null for what is not given.
 */
import type { Field, Message } from '../../format/proto/field.ts';
import { DEPTH_MAX } from '../../format/proto/wire.ts';
import { JsonReader, protoError, type Token } from './json-reader.ts';
import { messageOf, type NamedField, namesOf } from './json-names.ts';
import { bytesOf, integerOf } from './json-scalars.ts';

type Loose = Record<string, unknown>;

/** Of numbers, by kind. A `count` is an int64 in the schema; no negative one has a meaning. */
const RANGES: Partial<Record<Field['kind'], readonly [least: bigint, most: bigint]>> = {
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
  count: [0n, BigInt(Number.MAX_SAFE_INTEGER)],
  uint32: [0n, 2n ** 32n - 1n],
  enum: [-(2n ** 31n), 2n ** 31n - 1n],
};
/** How the schema calls a kind, where it is not as we do. */
const KIND_NAMES: Partial<Record<Field['kind'], string>> = { text: 'string', count: 'int64' };
const WIDE: readonly Field['kind'][] = ['int64', 'uint64'];

/** The bytes of a message. Throws INVALID_ARGUMENT for JSON that does not fit; its grammar must have been checked. */
export function encodeJson(of: Message<unknown>, json: Uint8Array): Uint8Array {
  const reader = new JsonReader(json);
  return of.encode(readMessage(reader, of, 0) as never);
}

function readMessage(reader: JsonReader, of: Message<unknown>, depth: number): Loose {
  // Differs from etcd, which lets messages nest 10000 deep.
  if (depth > DEPTH_MAX) throw protoError('exceeded max recursion depth');
  const open = reader.read();
  if (open.kind !== '{') throw reader.unexpected(open);
  const { byName } = namesOf(of);
  const value: Loose = {};
  const seen = new Set<string>();
  for (let name = reader.read(); name.kind !== '}'; name = reader.read()) {
    const named = byName.get(name.value);
    if (named === undefined) {
      reader.skip();
      continue;
    }
    const { key, field } = named;
    if (seen.has(key)) throw reader.error(name.at, `duplicate field ${name.raw}`);
    seen.add(key);
    if (reader.peek() === 'null') reader.skip();
    else if (field.isRepeated) value[key] = readList(reader, named, depth);
    else {
      const group = field.group === undefined ? undefined : `${of.name}.${field.group}`;
      if (group !== undefined && seen.has(group))
        throw reader.error(name.at, `error parsing ${name.raw}, oneof ${group} is already set`);
      if (group !== undefined) seen.add(group);
      const one = readOne(reader, named, depth);
      if (one !== undefined) value[key] = one;
    }
  }
  return value;
}

function readList(reader: JsonReader, named: NamedField, depth: number): unknown[] {
  const open = reader.read();
  if (open.kind !== '[') throw reader.unexpected(open);
  const list: unknown[] = [];
  while (reader.peek() !== ']') {
    const one = readOne(reader, named, depth);
    if (one !== undefined) list.push(one);
  }
  reader.read();
  return list;
}

/** Undefined for the name of an enum's member that does not exist: it is thrown away like an unknown field. */
function readOne(reader: JsonReader, { field, jsonName }: NamedField, depth: number): unknown {
  if (field.kind === 'message') return readMessage(reader, messageOf(field), depth + 1);
  const token = reader.read();
  if (field.kind === 'enum' && token.kind === 'text') {
    const number = field.names?.indexOf(token.value) ?? -1;
    return number < 0 ? undefined : number;
  }
  const value = scalarOf(field, token);
  if (value !== undefined) return value;
  const kind = KIND_NAMES[field.kind] ?? field.kind;
  throw reader.error(token.at, `invalid value for ${kind} field ${jsonName}: ${token.raw}`);
}

function scalarOf({ kind }: Field, token: Token): unknown {
  const range = RANGES[kind];
  if (range !== undefined) {
    const isNumber = token.kind === 'number' || (token.kind === 'text' && kind !== 'enum');
    const number = isNumber ? integerOf(token.value) : undefined;
    if (number === undefined || number < range[0] || number > range[1]) return undefined;
    return WIDE.includes(kind) ? number : Number(number);
  }
  if (kind === 'bool') return token.kind === 'bool' ? token.raw === 'true' : undefined;
  if (token.kind !== 'text') return undefined;
  return kind === 'bytes' ? bytesOf(token.value) : token.value;
}
