/**
 * What etcd keeps as JSON: rows of bucket `members`, contexts of membership changes, `confState` in bucket
 * `meta`. Encoding gives the bytes of Go's encoding/json: field order, left-out zeros, escapes.
 * Source: etcd v3.6 server/etcdserver/api/membership/member.go, cluster.go; raft v3.6 raftpb.
 */
import { CorruptError, type Where } from '../../errors.ts';
import type { Input } from './field.ts';
import { type JsonObject, type JsonValue, parseJson, stringifyJson } from './json-ids.ts';
import type { ConfState } from './raftpb.ts';

/** One member of the cluster. `name` is empty and `clientUrls` too until it has started once. */
export interface Member {
  id: bigint;
  peerUrls: string[];
  isLearner: boolean;
  name: string;
  clientUrls: string[];
}

/** The context of a membership change: the member, and whether a learner becomes a voter. */
export interface MemberChange extends Member {
  isPromote: boolean;
}

const U64_MAX = 2n ** 64n - 1n;
const utf8 = new TextEncoder();

/** A row of bucket `members`. Unknown names are ignored, as Go does. Throws `json.malformed`. */
export function decodeMember(bytes: Uint8Array, where: Where = {}): Member {
  return memberOf(decodeObject(bytes, where), where);
}

/** The context of a ConfChange; see {@link encodeMember}. */
export function decodeMemberChange(bytes: Uint8Array, where: Where = {}): MemberChange {
  const object = decodeObject(bytes, where);
  return { ...memberOf(object, where), isPromote: flagOf(object, 'isPromote', where) };
}

/** The bytes of a row of `members`, or of a ConfChange's context. No peer URLs are written as null. */
export function encodeMember(member: Member | MemberChange): Uint8Array {
  return utf8.encode(
    stringifyJson({
      id: member.id,
      peerURLs: orNull(member.peerUrls),
      isLearner: member.isLearner || undefined,
      name: member.name || undefined,
      clientURLs: orAbsent(member.clientUrls),
      isPromote: ('isPromote' in member && member.isPromote) || undefined,
    }),
  );
}

/** The value of `meta/confState`. */
export function decodeConfState(bytes: Uint8Array, where: Where = {}): ConfState {
  const object = decodeObject(bytes, where);
  return {
    voters: idsOf(object, 'voters', where),
    learners: idsOf(object, 'learners', where),
    votersOutgoing: idsOf(object, 'voters_outgoing', where),
    learnersNext: idsOf(object, 'learners_next', where),
    autoLeave: flagOf(object, 'auto_leave', where),
  };
}

/** `auto_leave` is always written: every etcd that stores it has set it. */
export function encodeConfState(state: Input<ConfState>): Uint8Array {
  return utf8.encode(
    stringifyJson({
      voters: orAbsent(state.voters),
      learners: orAbsent(state.learners),
      voters_outgoing: orAbsent(state.votersOutgoing),
      learners_next: orAbsent(state.learnersNext),
      auto_leave: state.autoLeave ?? false,
    }),
  );
}

function orAbsent(items: readonly (string | bigint)[] | undefined): JsonValue[] | undefined {
  return items === undefined || items.length === 0 ? undefined : [...items];
}

function orNull(items: readonly string[]): JsonValue[] | null {
  return items.length === 0 ? null : [...items];
}

/** An object, or damage. */
export function decodeObject(bytes: Uint8Array | string, where: Where): JsonObject {
  const value = parseJson(bytes, where);
  return isObject(value) ? value : malformed('an object', value, where);
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(expected: string, found: JsonValue | undefined, where: Where): never {
  const shown = found === undefined ? 'nothing' : stringifyJson(found).slice(0, 60);
  throw new CorruptError('json.malformed', `JSON: expected ${expected}, found ${shown}`, { where });
}

function memberOf(object: JsonObject, where: Where): Member {
  return {
    id: idOf(object['id'], { ...where, field: 'id' }),
    ...raftAttributesOf(object, where),
    ...attributesOf(object, where),
  };
}

/** What raft needs to know of a member. */
export function raftAttributesOf(object: JsonObject, where: Where): Pick<Member, 'peerUrls' | 'isLearner'> {
  return { peerUrls: textsOf(object, 'peerURLs', where), isLearner: flagOf(object, 'isLearner', where) };
}

/** What a member publishes when it starts. */
export function attributesOf(object: JsonObject, where: Where): Pick<Member, 'name' | 'clientUrls'> {
  const name = object['name'] ?? '';
  if (typeof name !== 'string') malformed('text', name, { ...where, field: 'name' });
  return { name, clientUrls: textsOf(object, 'clientURLs', where) };
}

function idOf(value: JsonValue | undefined, where: Where): bigint {
  const isWhole = typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value));
  const id = isWhole ? BigInt(value) : -1n;
  return id >= 0n && id <= U64_MAX ? id : malformed('a 64-bit id', value, where);
}

function idsOf(object: JsonObject, name: string, where: Where): bigint[] {
  return listOf(object, name, where).map((item) => idOf(item, { ...where, field: name }));
}

function textsOf(object: JsonObject, name: string, where: Where): string[] {
  return listOf(object, name, where).map((item) =>
    typeof item === 'string' ? item : malformed('text', item, { ...where, field: name }),
  );
}

function listOf(object: JsonObject, name: string, where: Where): JsonValue[] {
  const value = object[name] ?? [];
  return Array.isArray(value) ? value : malformed('a list', value, { ...where, field: name });
}

function flagOf(object: JsonObject, name: string, where: Where): boolean {
  const value = object[name] ?? false;
  return typeof value === 'boolean' ? value : malformed('true or false', value, { ...where, field: name });
}
