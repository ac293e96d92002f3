/**
 * Requests and answers in one shape, whether they come as JSON from a real server's gateway or as messages from our
 * services: names without case and underscores, numbers as text, no zeros.
 */
import { CorruptError } from '../../src/errors.ts';
import type { Field, Message } from '../../src/format/proto/field.ts';
import { RpcError } from '../../src/rpc/status.ts';

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };
type Loose = Record<string, unknown>;

const plain = (name: string): string => name.replaceAll('_', '').toLowerCase();

/** What differs between servers with the same history, and is no answer to anything. */
const OWN = ['clusterid', 'memberid', 'raftterm'];
const OWN_OF_STATUS = ['version', 'dbsize', 'dbsizeinuse', 'raftindex', 'raftterm', 'raftappliedindex'];

function messageOf(field: Field): Message<unknown> {
  return typeof field.of === 'function' ? field.of() : field.of!;
}

/** The bytes of a request that a gateway would take as JSON. */
export function encodeJson(of: Message<unknown>, body: { [name: string]: Json }): Uint8Array {
  return of.encode(fromJson(of, body) as never);
}

function fromJson(of: Message<unknown>, body: { [name: string]: Json }): Loose {
  const value: Loose = {};
  for (const [name, json] of Object.entries(body)) {
    const found = Object.entries(of.fields).find(([key]) => plain(key) === plain(name));
    if (!found) throw new TypeError(`${of.name} has no field ${name}`);
    const [key, field] = found;
    const one = (item: Json): unknown => valueFrom(field, item);
    value[key] = Array.isArray(json) ? json.map(one) : one(json);
  }
  return value;
}

function valueFrom(field: Field, json: Json): unknown {
  switch (field.kind) {
    case 'message':
      return fromJson(messageOf(field), json as { [name: string]: Json });
    case 'int64':
    case 'uint64':
      return BigInt(json as string);
    case 'bytes':
      return Buffer.from(json as string, 'base64');
    case 'enum':
      return field.names!.indexOf(json as string);
    case 'count':
      return Number(json);
    default:
      return json;
  }
}

/** A message of ours in the common shape. */
export function shapeOfMessage(of: Message<unknown>, value: Loose): Json {
  const shape: { [name: string]: Json } = {};
  for (const [key, field] of Object.entries(of.fields)) {
    const part = value[key];
    if (part === undefined) continue;
    const one = (item: unknown): Json => shapeOfValue(field, item);
    const json = Array.isArray(part) ? part.map(one) : one(part);
    if (!isZero(json)) shape[plain(key)] = json;
  }
  return shape;
}

function shapeOfValue(field: Field, value: unknown): Json {
  if (field.kind === 'message') return shapeOfMessage(messageOf(field), value as Loose);
  if (field.holds !== undefined)
    return shapeOfMessage(field.holds, field.holds.decode(value as Uint8Array) as Loose);
  if (field.kind === 'bytes') return Buffer.from(value as Uint8Array).toString('base64');
  if (field.kind === 'enum') return field.names?.[value as number] ?? String(value);
  return typeof value === 'boolean' ? value : String(value);
}

/** A gateway's answer in the common shape. */
export function shapeOfJson(json: Json): Json {
  if (Array.isArray(json)) return json.map(shapeOfJson);
  if (typeof json === 'number') return String(json);
  if (typeof json !== 'object' || json === null) return json;
  const shape: { [name: string]: Json } = {};
  for (const [name, value] of Object.entries(json)) {
    const part = shapeOfJson(value);
    if (!isZero(part)) shape[plain(name)] = part;
  }
  return shape;
}

function isZero(json: Json): boolean {
  if (json === '' || json === '0' || json === false || json === null) return true;
  return Array.isArray(json) && json.length === 0;
}

/** Without what need not be the same. */
export function comparable(shape: Json): Json {
  if (typeof shape !== 'object' || shape === null || Array.isArray(shape)) return shape;
  const own = 'dbsize' in shape ? OWN_OF_STATUS : [];
  const parts = Object.entries(shape).filter(([name]) => !own.includes(name));
  return Object.fromEntries(
    parts.map(([name, part]) => [name, name === 'header' ? withoutOwn(part) : comparable(part)]),
  );
}

function withoutOwn(header: Json): Json {
  return Object.fromEntries(Object.entries(header as object).filter(([name]) => !OWN.includes(name)));
}

/** An error of ours as a gateway writes it. */
export function shapeOfError(error: unknown): Json {
  if (error instanceof RpcError) return { code: String(error.status), message: error.message };
  throw error instanceof Error ? error : new CorruptError('proto.malformed', String(error));
}
