/**
 * What the small buckets of a database say, decoded. A row that does not decode is reported and left out.
 * Facts: etcd v3.6 server/storage/schema, server/etcdserver/version.
 */
import { latin1 } from '../../bytes/order.ts';
import { CorruptError, type ErrorCode, type FindingSink, findingOf, ToolError } from '../../errors.ts';
import { type User, user as userMessage, type Role, role as roleMessage } from '../../format/proto/authpb.ts';
import { type JsonObject, parseJson } from '../../format/proto/json-ids.ts';
import { decodeConfState, decodeMember, isObject, type Member } from '../../format/proto/member-json.ts';
import type { ConfState } from '../../format/proto/raftpb.ts';
import { type AlarmMember, alarmMember } from '../../format/proto/rpcpb.ts';
import {
  type BucketName,
  CLUSTER_VERSION,
  DOWNGRADE,
  knownVersion,
  type META_FIELDS,
  type Version,
} from './buckets.ts';
import { indexOf, type Row } from './rows.ts';

export interface Downgrade {
  targetVersion: string;
  isEnabled: boolean;
}

export interface SchemaState {
  /** Raft index of the last applied entry. */
  consistentIndex: number | undefined;
  /** Term of that entry; since 3.5. */
  term: number | undefined;
  confState: ConfState | undefined;
  /** As stored, `3.6.0`; undefined before 3.6. */
  storageVersion: string | undefined;
  /** As stored; authoritative since 3.6. */
  clusterVersion: string | undefined;
  downgrade: Downgrade | undefined;
  members: Member[];
  removedMembers: bigint[];
  alarms: AlarmMember[];
  isAuthEnabled: boolean;
  authRevision: number | undefined;
  users: User[];
  roles: Role[];
}

/** Rows by bucket; buckets that do not exist are not in it. */
export type SchemaRows = ReadonlyMap<string, Row[]>;

/** Decodes all rows. `report` takes what is malformed; without it the first is thrown. */
export function decodeSchema(rows: SchemaRows, options: { file: string; report?: FindingSink }): SchemaState {
  const reader = new SchemaReader(rows, options.file, options.report);
  return {
    consistentIndex: reader.metaIndex('consistent_index'),
    term: reader.metaIndex('term'),
    confState: reader.meta('confState', (value) => decodeConfState(value)),
    storageVersion: reader.meta('storageVersion', decodeText),
    clusterVersion: reader.cell('cluster', CLUSTER_VERSION, 'schema.cluster-version', decodeText),
    downgrade: reader.cell('cluster', DOWNGRADE, 'schema.downgrade', decodeDowngrade),
    members: reader.all('members', 'schema.membership', memberOf),
    removedMembers: reader.all('members_removed', 'schema.membership', removedOf),
    alarms: reader.all('alarm', 'schema.alarm', alarmOf),
    isAuthEnabled: reader.cell('auth', 'authEnabled', 'schema.auth', flagOf) ?? false,
    authRevision: reader.cell('auth', 'authRevision', 'schema.auth', (value) =>
      indexOf(value, 'authRevision'),
    ),
    users: reader.all('authUsers', 'schema.auth', userOf),
    roles: reader.all('authRoles', 'schema.auth', roleOf),
  };
}

class SchemaReader {
  readonly #rows: SchemaRows;
  readonly #file: string;
  readonly #report: FindingSink | undefined;

  constructor(rows: SchemaRows, file: string, report: FindingSink | undefined) {
    this.#rows = rows;
    this.#file = file;
    this.#report = report;
  }

  #attempt<T>(bucket: string, row: Row, code: ErrorCode, decode: (row: Row) => T): T | undefined {
    try {
      return decode(row);
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      const name = Buffer.from(row.key).toString('latin1');
      const where = {
        file: this.#file,
        unit: `page ${row.pageId}`,
        offset: row.offset,
        field: `bucket ${bucket}, key ${JSON.stringify(name)}`,
      };
      const damage = new CorruptError(code, `${where.field}: ${error.message}`, { where, cause: error });
      if (!this.#report) throw damage;
      this.#report(findingOf(damage));
      return undefined;
    }
  }

  cell<T>(bucket: BucketName, key: string, code: ErrorCode, decode: (value: Uint8Array) => T): T | undefined {
    const row = this.#rows.get(bucket)?.find((one) => Buffer.from(one.key).toString('latin1') === key);
    return row && this.#attempt(bucket, row, code, () => decode(row.value));
  }

  meta<T>(key: keyof typeof META_FIELDS, decode: (value: Uint8Array) => T): T | undefined {
    return this.cell('meta', key, 'schema.meta', decode);
  }

  metaIndex(key: 'consistent_index' | 'term'): number | undefined {
    return this.meta(key, (value) => indexOf(value, key));
  }

  all<T>(bucket: BucketName, code: ErrorCode, decode: (row: Row) => T): T[] {
    const decoded: T[] = [];
    for (const row of this.#rows.get(bucket) ?? []) {
      const one = this.#attempt(bucket, row, code, decode);
      if (one !== undefined) decoded.push(one);
    }
    return decoded;
  }
}

const malformed = (message: string): CorruptError => new CorruptError('schema.meta', message);

/** A version, `3.6.0`. */
function decodeText(value: Uint8Array): string {
  const text = latin1(value);
  if (!/^\d+\.\d+\.\d+([-+][\w.+-]+)?$/.test(text))
    throw malformed(`${JSON.stringify(text)} is not a version`);
  return text;
}

/** The row `downgrade` of bucket `cluster`. */
export function decodeDowngrade(value: Uint8Array): Downgrade {
  const object: JsonObject | undefined = asObject(value);
  const target = object?.['target-version'] ?? '';
  const enabled = object?.['enabled'] ?? false;
  if (!object || typeof target !== 'string' || typeof enabled !== 'boolean')
    throw malformed('it is not a downgrade record');
  return { targetVersion: target, isEnabled: enabled };
}

function asObject(value: Uint8Array): JsonObject | undefined {
  const parsed = parseJson(value);
  return isObject(parsed) ? parsed : undefined;
}

function idOf(key: Uint8Array): bigint {
  const text = latin1(key);
  if (!/^(0|[1-9a-f][0-9a-f]{0,15})$/.test(text))
    throw malformed(`${JSON.stringify(text)} is not a member id`);
  return BigInt(`0x${text}`);
}

function memberOf(row: Row): Member {
  const member = decodeMember(row.value);
  if (member.id !== idOf(row.key)) throw malformed(`the member names itself ${member.id.toString(16)}`);
  return member;
}

function removedOf(row: Row): bigint {
  if (latin1(row.value) !== 'removed')
    throw malformed(`the value is ${JSON.stringify(latin1(row.value))}, expected "removed"`);
  return idOf(row.key);
}

function alarmOf(row: Row): AlarmMember {
  if (row.value.length > 0) throw malformed(`the value has ${row.value.length} bytes, expected none`);
  const alarm = alarmMember.decode(row.key);
  if (alarm.alarm < 1 || alarm.alarm > 2) throw malformed(`the alarm is of unknown type ${alarm.alarm}`);
  return alarm;
}

function flagOf(value: Uint8Array): boolean {
  if (value.length !== 1 || value[0]! > 1)
    throw malformed(`the flag is ${Buffer.from(value).toString('hex')}`);
  return value[0] === 1;
}

function userOf(row: Row): User {
  const user = userMessage.decode(row.value);
  if (Buffer.compare(user.name, row.key) !== 0)
    throw malformed(`the user names itself ${JSON.stringify(latin1(user.name))}`);
  return user;
}

function roleOf(row: Row): Role {
  const role = roleMessage.decode(row.value);
  if (Buffer.compare(role.name, row.key) !== 0)
    throw malformed(`the role names itself ${JSON.stringify(latin1(role.name))}`);
  return role;
}

/**
 * The version whose schema this is: the stored one; else 3.5 when a term is stored; else 3.4, which upstream's
 * `migrate` refuses as `missing term information`. Undefined for one this build does not know.
 */
export function schemaVersionOf(state: SchemaState): Version | undefined {
  if (state.storageVersion !== undefined) return knownVersion(state.storageVersion);
  return (state.term ?? 0) > 0 ? '3.5' : '3.4';
}
