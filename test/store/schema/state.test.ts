import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CorruptError, type Finding } from '../../../src/errors.ts';
import { role, user } from '../../../src/format/proto/authpb.ts';
import { encodeMember } from '../../../src/format/proto/member-json.ts';
import { alarmMember } from '../../../src/format/proto/rpcpb.ts';
import { openDatabase } from '../../../src/store/database.ts';
import { BUCKETS } from '../../../src/store/schema/buckets.ts';
import { encodeIndex, readRows } from '../../../src/store/schema/rows.ts';
import {
  decodeSchema,
  type SchemaRows,
  schemaVersionOf,
  type SchemaState,
} from '../../../src/store/schema/state.ts';
import { fixture, VERSIONS } from '../../support/fixtures.ts';
import { MEMBER, memberRow, text } from '../database-builder.ts';

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex');

type Cells = Readonly<
  Record<string, ReadonlyArray<readonly [key: string | Uint8Array, value: string | Uint8Array]>>
>;

function rowsOf(cells: Cells): SchemaRows {
  const bytes = (part: string | Uint8Array): Uint8Array => (typeof part === 'string' ? text(part) : part);
  return new Map(
    Object.entries(cells).map(([bucket, rows]) => [
      bucket,
      rows.map(([key, value], i) => ({ key: bytes(key), value: bytes(value), pageId: 7, offset: 1000 + i })),
    ]),
  );
}

const decode = (cells: Cells): SchemaState => decodeSchema(rowsOf(cells), { file: 'test.db' });

const EMPTY: SchemaState = {
  consistentIndex: undefined,
  term: undefined,
  confState: undefined,
  storageVersion: undefined,
  clusterVersion: undefined,
  downgrade: undefined,
  members: [],
  removedMembers: [],
  alarms: [],
  isAuthEnabled: false,
  authRevision: undefined,
  users: [],
  roles: [],
};

const USER = { name: text('u'), password: text('$2a$10$x'), roles: ['r'], options: { noPassword: false } };
const ROLE = { name: text('r'), keyPermission: [{ permType: 2, key: text('a'), rangeEnd: text('b') }] };

describe('rows that decode', () => {
  const cases: Array<[what: string, cells: Cells, expected: Partial<SchemaState>]> = [
    ['nothing', {}, {}],
    ['buckets without rows', { meta: [], members: [] }, {}],
    ['consistent_index', { meta: [['consistent_index', encodeIndex(300)]] }, { consistentIndex: 300 }],
    ['term', { meta: [['term', encodeIndex(0)]] }, { term: 0 }],
    ['storageVersion', { meta: [['storageVersion', '3.6.0']] }, { storageVersion: '3.6.0' }],
    [
      'storageVersion of a release candidate',
      { meta: [['storageVersion', '3.8.0-rc.1']] },
      { storageVersion: '3.8.0-rc.1' },
    ],
    [
      'confState with ids above 2^53',
      { meta: [['confState', '{"voters":[10276657743932975437],"learners":[2],"auto_leave":true}']] },
      {
        confState: {
          voters: [10276657743932975437n],
          learners: [2n],
          votersOutgoing: [],
          learnersNext: [],
          autoLeave: true,
        },
      },
    ],
    ['an unknown field of meta', { meta: [['other', 'x']] }, {}],
    ['clusterVersion', { cluster: [['clusterVersion', '3.5.0']] }, { clusterVersion: '3.5.0' }],
    [
      'downgrade',
      { cluster: [['downgrade', '{"target-version":"3.5.0","enabled":true}']] },
      { downgrade: { targetVersion: '3.5.0', isEnabled: true } },
    ],
    [
      'downgrade cancelled',
      { cluster: [['downgrade', '{"target-version":"","enabled":false}']] },
      { downgrade: { targetVersion: '', isEnabled: false } },
    ],
    ['members', { members: [memberRow(MEMBER)] }, { members: [MEMBER] }],
    [
      'a member id of one digit',
      { members: [memberRow({ ...MEMBER, id: 5n })] },
      { members: [{ ...MEMBER, id: 5n }] },
    ],
    [
      'removed members',
      { members_removed: [['8e9e05c52164694d', 'removed']] },
      { removedMembers: [MEMBER.id] },
    ],
    [
      'an alarm of corruption',
      { alarm: [[alarmMember.encode({ memberId: 1n, alarm: 2 }), '']] },
      { alarms: [{ memberId: 1n, alarm: 2 }] },
    ],
    [
      'a downgrade without a word on whether it is enabled',
      { cluster: [['downgrade', '{"target-version":"3.5.0"}']] },
      { downgrade: { targetVersion: '3.5.0', isEnabled: false } },
    ],
    [
      'alarms',
      { alarm: [[alarmMember.encode({ memberId: MEMBER.id, alarm: 1 }), '']] },
      { alarms: [{ memberId: MEMBER.id, alarm: 1 }] },
    ],
    [
      'auth enabled',
      {
        auth: [
          ['authEnabled', hex('01')],
          ['authRevision', encodeIndex(7)],
        ],
      },
      { isAuthEnabled: true, authRevision: 7 },
    ],
    ['auth disabled', { auth: [['authEnabled', hex('00')]] }, {}],
    ['users', { authUsers: [['u', user.encode(USER)]] }, { users: [USER] }],
    ['roles', { authRoles: [['r', role.encode(ROLE)]] }, { roles: [ROLE] }],
  ];
  for (const [what, cells, expected] of cases) {
    test(what, () => assert.deepEqual(plain(decode(cells)), plain({ ...EMPTY, ...expected })));
  }
});

/** Byte arrays of one class, so that they compare by content. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]));
}

describe('rows that do not', () => {
  const member = encodeMember(MEMBER);
  const id = MEMBER.id.toString(16);
  const cases: Array<
    [bucket: string, key: string | Uint8Array, value: string | Uint8Array, code: string, message: RegExp]
  > = [
    ['meta', 'consistent_index', '1', 'schema.meta', /1 bytes long/],
    ['meta', 'term', hex('ffffffffffffffff'), 'schema.meta', /term is 18446744073709551615/],
    ['meta', 'confState', '{"voters":', 'schema.meta', /JSON/],
    ['meta', 'confState', '{"voters":[-1]}', 'schema.meta', /64-bit id/],
    ['meta', 'confState', '[]', 'schema.meta', /an object/],
    ['meta', 'storageVersion', '', 'schema.meta', /"" is not a version/],
    ['meta', 'storageVersion', '3.6', 'schema.meta', /"3.6" is not a version/],
    ['meta', 'storageVersion', '3.6.0\n', 'schema.meta', /is not a version/],
    ['cluster', 'clusterVersion', '3.x.0', 'schema.cluster-version', /"3.x.0" is not a version/],
    [
      'cluster',
      'downgrade',
      '{"target-version":3,"enabled":true}',
      'schema.downgrade',
      /not a downgrade record/,
    ],
    ['cluster', 'downgrade', '{"enabled":"yes"}', 'schema.downgrade', /not a downgrade record/],
    ['cluster', 'downgrade', 'null', 'schema.downgrade', /not a downgrade record/],
    ['members', id, '{', 'schema.membership', /JSON/],
    ['members', id, member.slice(0, -1), 'schema.membership', /JSON/],
    ['members', 'abc', member, 'schema.membership', /names itself 8e9e05c52164694d/],
    ['members', `0${id}`, member, 'schema.membership', /is not a member id/],
    ['members', id.toUpperCase(), member, 'schema.membership', /is not a member id/],
    ['members', '', member, 'schema.membership', /"" is not a member id/],
    ['members_removed', id, '', 'schema.membership', /expected "removed"/],
    ['members_removed', 'xyz', 'removed', 'schema.membership', /is not a member id/],
    ['alarm', alarmMember.encode({ memberId: 1n, alarm: 1 }), 'x', 'schema.alarm', /the value has 1 bytes/],
    ['alarm', alarmMember.encode({ memberId: 1n, alarm: 0 }), '', 'schema.alarm', /unknown type 0/],
    ['alarm', alarmMember.encode({ memberId: 1n, alarm: 3 }), '', 'schema.alarm', /unknown type 3/],
    ['alarm', hex('0a'), '', 'schema.alarm', /./],
    ['auth', 'authEnabled', '', 'schema.auth', /the flag is $/],
    ['auth', 'authEnabled', hex('02'), 'schema.auth', /the flag is 02/],
    ['auth', 'authEnabled', hex('0001'), 'schema.auth', /the flag is 0001/],
    ['auth', 'authRevision', hex('01'), 'schema.auth', /authRevision is 1 bytes long/],
    ['authUsers', 'u', user.encode(USER).slice(0, -1), 'schema.auth', /./],
    ['authUsers', 'v', user.encode(USER), 'schema.auth', /names itself "u"/],
    ['authRoles', 'r', role.encode(ROLE).slice(0, -1), 'schema.auth', /./],
    ['authRoles', 's', role.encode(ROLE), 'schema.auth', /names itself "r"/],
  ];
  for (const [bucket, key, value, code, message] of cases) {
    test(`${bucket}: ${message.source}`, () => {
      const cells = { [bucket]: [[key, value]] } as Cells;
      const findings: Finding[] = [];
      const state = decodeSchema(rowsOf(cells), {
        file: 'test.db',
        report: (finding) => findings.push(finding),
      });
      assert.deepEqual(plain(state), plain(EMPTY), 'a row that does not decode is left out');
      assert.equal(findings.length, 1);
      const { where, ...finding } = findings[0]!;
      assert.equal(finding.code, code);
      assert.equal(finding.severity, 'lossy');
      assert.match(finding.message, message);
      assert.deepEqual([where.file, where.unit, where.offset], ['test.db', 'page 7', 1000]);
      assert.ok(where.field?.startsWith(`bucket ${bucket}, key "`));
      assert.throws(
        () => decode(cells),
        (error: unknown) => error instanceof CorruptError && error.code === code && error.cause !== undefined,
      );
    });
  }

  test('the others are kept', () => {
    const findings: Finding[] = [];
    const rows = rowsOf({ members: [['zzz', '{}'], memberRow(MEMBER), ['yyy', '{}']] });
    const { members } = decodeSchema(rows, { file: 'test.db', report: (finding) => findings.push(finding) });
    assert.deepEqual(members, [MEMBER]);
    assert.deepEqual(
      findings.map(({ where }) => where.offset),
      [1000, 1002],
    );
  });
});

describe('the version of a schema', () => {
  const cases: Array<[state: Partial<SchemaState>, version: string | undefined]> = [
    [{}, '3.4'],
    [{ term: 0 }, '3.4'],
    [{ term: 2 }, '3.5'],
    [{ term: 2, storageVersion: '3.6.0' }, '3.6'],
    [{ storageVersion: '3.7.0' }, '3.7'],
    [{ term: 2, storageVersion: '3.8.0' }, undefined],
  ];
  for (const [state, version] of cases) {
    test(`${JSON.stringify(state)} is ${version ?? 'unknown'}`, () => {
      assert.equal(schemaVersionOf({ ...EMPTY, ...state }), version);
    });
  }

  for (const version of VERSIONS) {
    test(`that of a snapshot of ${version}, without a row that does not decode`, () => {
      const database = openDatabase(fixture(`snap/snap-${version}.db`));
      const rows = new Map(
        BUCKETS.filter((name) => name !== 'key').map((name) => [name, readRows(database.bolt, name)]),
      );
      const state = decodeSchema(rows, { file: 'x' });
      database.close();
      assert.equal(schemaVersionOf(state), version);
      assert.deepEqual(
        state.users.map(({ name }) => Buffer.from(name).toString()),
        ['root', 'u1'],
      );
      assert.equal(state.authRevision, 7);
      assert.equal(state.clusterVersion, `${version}.0`);
    });
  }
});
