/** The schema layer of verify: required buckets, fields of `meta`, membership, alarms, users, versions. */
import type { ErrorCode, FindingSink, Severity, Where } from '../errors.ts';
import { role, user, type User } from '../format/proto/authpb.ts';
import { SCHEDULED_KEY } from '../store/mvcc/marks.ts';
import { BUCKETS, CLUSTER_VERSION, DOWNGRADE, META_FIELDS } from '../store/schema/buckets.ts';
import type { Row } from '../store/schema/rows.ts';
import { decodeSchema, type SchemaState, schemaVersionOf } from '../store/schema/state.ts';
import { isCanonical } from './canonical.ts';
import type { DatabaseWalk } from './database.ts';

const ALARM_NAMES = ['NONE', 'NOSPACE', 'CORRUPT'];
const AUTH_FIELDS = ['authEnabled', 'authRevision'];
const CLUSTER_FIELDS: string[] = [CLUSTER_VERSION, DOWNGRADE];
/** Damage that makes a server refuse the file or lose everything. */
const ESSENTIAL = new Set(['key', 'meta']);

/** `at`: bucket and key, or a place in the file too. */
type Report = (
  code: ErrorCode,
  severity: Severity,
  message: string,
  at?: string | Where,
  hint?: string,
) => void;

/** Checks what the walk collected. Gives the decoded state. */
export function checkSchema(walk: DatabaseWalk, sink: FindingSink): SchemaState {
  const file = walk.bolt.source.name;
  const state = decodeSchema(walk.rows, { file, report: sink });
  const report: Report = (code, severity, message, at, hint) => {
    const where = { file, ...(typeof at === 'string' ? { field: at } : at) };
    sink({ code, severity, where, message, ...(hint ? { hint } : {}) });
  };

  // What is missing then says nothing; the pages layer has said why.
  if (walk.bolt.isRootLost) return state;
  checkBuckets(walk, report);
  checkMeta(walk, state, report);
  checkMembership(state, report);
  checkCluster(state, report);
  checkAuth(walk, state, report);
  checkMessages(walk, report);
  checkMarks(walk, report);
  checkKeyLeases(walk, report);
  return state;
}

function checkBuckets(walk: DatabaseWalk, report: Report): void {
  const present = new Set(walk.bolt.buckets().map((bucket) => bucket.label));
  for (const name of BUCKETS) {
    if (present.has(name)) continue;
    const severity = ESSENTIAL.has(name) ? 'fatal' : 'lossy';
    const where = { unit: `page ${walk.bolt.live.root}`, field: `bucket ${name}` };
    report(
      'schema.bucket',
      severity,
      `bucket ${name} is missing, which every server creates when it starts`,
      where,
    );
  }
  for (const { label, pageId } of walk.bolt.buckets()) {
    if ((BUCKETS as readonly string[]).includes(label)) continue;
    const where = { unit: `page ${pageId}`, field: `bucket ${label}` };
    report('schema.bucket', 'lossy', `bucket ${JSON.stringify(label)} is none of etcd's`, where);
  }
  const known: Array<[string, readonly string[]]> = [
    ['meta', Object.keys(META_FIELDS)],
    ['auth', AUTH_FIELDS],
    ['cluster', CLUSTER_FIELDS],
  ];
  for (const [bucket, fields] of known) {
    for (const row of walk.rows.get(bucket) ?? []) {
      const name = Buffer.from(row.key).toString('latin1');
      if (fields.includes(name)) continue;
      const message = `bucket ${bucket} holds ${JSON.stringify(name)}, which no known version writes`;
      report('schema.meta', 'lossy', message, { ...placeOf(row), field: `bucket ${bucket}` });
    }
  }
}

const placeOf = ({ pageId, offset }: Row): Where => ({ unit: `page ${pageId}`, offset });

function checkMeta(walk: DatabaseWalk, state: SchemaState, report: Report): void {
  const field = 'bucket meta';
  const version = schemaVersionOf(state);
  const has = (key: string): boolean =>
    (walk.rows.get('meta') ?? []).some((row) => Buffer.from(row.key).toString('latin1') === key);
  if (!has('consistent_index')) {
    // The first commit makes the buckets; up to 3.4 only a change of keys or users stores the index.
    const isNew = walk.history?.recordCount === 0 && (state.authRevision ?? 1) === 1;
    const message = isNew ? 'no entry was applied yet' : 'a server would apply its whole log again';
    report('schema.meta', isNew ? 'note' : 'lossy', `consistent_index is missing: ${message}`, field);
  }
  if (state.storageVersion !== undefined) {
    if (!version)
      report(
        'schema.version',
        'lossy',
        `storage version ${state.storageVersion} is not known to this build`,
        field,
      );
    // A server that was killed before its first entry was applied had written the version, and no term yet.
    if (!has('term') && has('consistent_index'))
      report('schema.meta', 'lossy', 'term is missing although the storage version is written', field);
  } else if (version === '3.4') {
    report(
      'schema.version',
      'note',
      'written by etcd 3.4, or by a 3.5 that never committed: no term is stored',
      field,
    );
  }
  if (state.term !== undefined && state.term < 1)
    report('schema.meta', 'lossy', `term is ${state.term}`, field);
}

const hex = (id: bigint): string => id.toString(16);

function checkMembership(state: SchemaState, report: Report): void {
  const { members, removedMembers, confState } = state;
  const ids = members.map((member) => member.id);
  if (ids.length === 0)
    report(
      'schema.membership',
      'note',
      'no members are stored: kept in the log and .snap before 3.5',
      'bucket members',
    );
  for (const id of removedMembers) {
    if (!ids.includes(id)) continue;
    report(
      'schema.membership',
      'note',
      `member ${hex(id)} is listed and also marked as removed: a zombie`,
      'bucket members_removed',
    );
  }
  const seen = new Map<string, bigint>();
  for (const member of members) {
    for (const url of member.peerUrls) {
      const other = seen.get(url);
      if (other !== undefined)
        report(
          'schema.membership',
          'note',
          `members ${hex(other)} and ${hex(member.id)} share the peer URL ${url}`,
          'bucket members',
        );
      seen.set(url, member.id);
    }
  }
  if (!confState || ids.length === 0) return;
  const voters = [...confState.voters, ...confState.learners];
  const isEqual = voters.length === ids.length && voters.every((id) => ids.includes(id));
  if (isEqual) return;
  const message = `confState lists ${voters.map(hex).join(', ') || 'nobody'}, but the members are ${ids.map(hex).join(', ')}: stale, as after every restore by etcdutl`;
  report('schema.conf-state', 'note', message, 'bucket meta, key confState');
}

function checkCluster(state: SchemaState, report: Report): void {
  const version = schemaVersionOf(state);
  if (state.clusterVersion === undefined && version !== '3.4') {
    report('schema.cluster-version', 'note', 'no cluster version is stored yet', 'bucket cluster');
  }
  if (state.downgrade?.isEnabled) {
    report(
      'schema.downgrade',
      'note',
      `a downgrade to ${state.downgrade.targetVersion} is enabled`,
      'bucket cluster',
    );
  }
  for (const { memberId, alarm } of state.alarms) {
    const message = `alarm ${ALARM_NAMES[alarm]} of member ${hex(memberId)} is active, and survives a restore`;
    report('schema.alarm', 'note', message, 'bucket alarm', 'etcdctl alarm disarm, once its cause is gone');
  }
}

function checkAuth(walk: DatabaseWalk, state: SchemaState, report: Report): void {
  const roles = new Set(state.roles.map((role) => Buffer.from(role.name).toString()));
  const users = state.users.map((user) => Buffer.from(user.name).toString());
  if (state.isAuthEnabled && !users.includes('root')) {
    report('schema.auth', 'note', 'authentication is enabled, but there is no user root', 'bucket authUsers');
  }
  for (const [index, user] of state.users.entries()) {
    for (const role of user.roles) {
      if (role === 'root' || roles.has(role)) continue;
      const row = walk.rows.get('authUsers')?.find(({ key }) => Buffer.compare(key, user.name) === 0);
      const where = { ...(row ? placeOf(row) : {}), field: 'bucket authUsers' };
      report('schema.auth', 'lossy', `user ${users[index]} has role ${role}, which does not exist`, where);
    }
  }
}

/** A row that does not decode was reported before; one that holds more than it should is found here. */
function checkMessages(walk: DatabaseWalk, report: Report): void {
  const isWhole = {
    authUsers: (value: Uint8Array): boolean =>
      isCanonical(user, value) && isPasswordAsSaid(user.decode(value)),
    authRoles: (value: Uint8Array): boolean =>
      isCanonical(role, value) && role.decode(value).keyPermission.every(({ key }) => key.length > 0),
  };
  for (const [bucket, holds] of Object.entries(isWhole)) {
    for (const row of walk.rows.get(bucket) ?? []) {
      if (holds(row.value)) continue;
      const name = JSON.stringify(Buffer.from(row.key).toString('latin1'));
      const where = { ...placeOf(row), field: `bucket ${bucket}, key ${name}` };
      report(
        'schema.auth',
        'lossy',
        `bucket ${bucket}, key ${name}: the row is not one that etcd writes`,
        where,
      );
    }
  }
}

/** A user has a password unless it was added without one. */
function isPasswordAsSaid({ password, options }: User): boolean {
  return (password.length === 0) === (options?.noPassword ?? false);
}

function checkMarks(walk: DatabaseWalk, report: Report): void {
  const { scheduled, finished } = walk.marks;
  if (finished !== undefined && (scheduled === undefined || scheduled < finished)) {
    report(
      'mvcc.compaction',
      'lossy',
      `compaction is finished at ${finished}, but scheduled at ${scheduled ?? 'none'}`,
      'bucket meta',
    );
  }
  const { history } = walk;
  const isPending =
    scheduled !== undefined && scheduled !== Number.MAX_SAFE_INTEGER && scheduled > (finished ?? -1);
  if (isPending && history && !history.isIncomplete && !history.isCompactRevisionHeld) {
    const row = walk.rows
      .get('meta')
      ?.find(({ key }) => Buffer.from(key).toString('latin1') === SCHEDULED_KEY);
    const where = { ...(row ? placeOf(row) : {}), field: `bucket meta, key ${SCHEDULED_KEY}` };
    // Up to 3.5.15 a compaction deletes a tombstone of its own revision too; killed then, it leaves nothing to do.
    if (history.isCompactionDue)
      report(
        'mvcc.compaction',
        'lossy',
        `a compaction is scheduled at ${scheduled}, but no record is of that revision`,
        where,
      );
    else
      report(
        'mvcc.compaction',
        'note',
        `a compaction is scheduled at ${scheduled}, and all but finished: no record of that revision is left`,
        where,
      );
  }
  if (history && history.bumpCount > 0) {
    report(
      'mvcc.bump',
      'note',
      `${history.bumpCount} empty record(s) of --bump-revision: the revision was raised to ${history.bumpRevision}`,
      'bucket key',
    );
  }
}

function checkKeyLeases(walk: DatabaseWalk, report: Report): void {
  let count = 0;
  let first = '';
  walk.history?.forEachLostLease(walk.leases, (key, lease, revision) => {
    if (count++ === 0)
      first = `${JSON.stringify(Buffer.from(key).toString('utf8'))} (revision ${revision}, lease ${hex(lease)})`;
  });
  if (count > 0)
    report(
      'mvcc.lease',
      'note',
      `${count} key(s) name a lease that does not exist, the first is ${first}`,
      'bucket key',
    );
}
