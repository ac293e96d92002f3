import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pacer } from '../../src/bytes/pacer.ts';
import { walkDatabase } from '../../src/check/database.ts';
import { checkSchema } from '../../src/check/schema.ts';
import type { Finding, Severity } from '../../src/errors.ts';
import type { BoltFile } from '../../src/format/bolt/file.ts';
import { role, user } from '../../src/format/proto/authpb.ts';
import { encodeConfState } from '../../src/format/proto/member-json.ts';
import { alarmMember } from '../../src/format/proto/rpcpb.ts';
import { BUCKETS } from '../../src/store/schema/buckets.ts';
import { encodeIndex } from '../../src/store/schema/rows.ts';
import {
  buildDatabase,
  bump,
  compactedAt,
  type DatabaseSpec,
  deletion,
  leaseRow,
  MEMBER,
  memberRow,
  metaRows,
  openBytes,
  type Pair,
  put,
  text,
} from '../store/database-builder.ts';
import { readFixture } from '../support/fixtures.ts';

async function findingsOf(bolt: BoltFile): Promise<Finding[]> {
  const findings: Finding[] = [];
  const ignore = (): void => {};
  const walk = await walkDatabase(bolt, { pages: ignore, content: ignore, schema: ignore }, new Pacer());
  checkSchema(walk, (finding) => findings.push(finding));
  return findings;
}

const check = (spec: DatabaseSpec): Promise<Finding[]> =>
  findingsOf(openBytes(buildDatabase(spec), () => {}));

const OTHER = { ...MEMBER, id: 0xabcn, name: 'other', peerUrls: ['http://127.0.0.1:3380'] };
const ROOT = {
  name: text('root'),
  password: text('$2a$10$x'),
  roles: ['root'],
  options: { noPassword: false },
};
const READER = {
  name: text('reader'),
  keyPermission: [{ permType: 0, key: text('a'), rangeEnd: text('b') }],
};
const userRow = (over: Partial<typeof ROOT>): Pair => [
  over.name ?? ROOT.name,
  user.encode({ ...ROOT, ...over }),
];
const roleRow = (over: Partial<typeof READER>): Pair => [READER.name, role.encode({ ...READER, ...over })];

const meta = (over: Parameters<typeof metaRows>[0]): DatabaseSpec => ({ buckets: { meta: metaRows(over) } });
const members = (...rows: Pair[]): DatabaseSpec => ({ buckets: { members: rows } });
const cluster = (over: Readonly<Record<string, string>> = {}): DatabaseSpec => ({
  buckets: {
    cluster: Object.entries({ clusterVersion: '3.6.0', ...over }).map(([key, value]) => [
      text(key),
      text(value),
    ]),
  },
});
const pending = (records: Pair[], scheduled: number): DatabaseSpec => ({
  records,
  buckets: { meta: compactedAt({ scheduled }) },
});

type Case = [code: string, severity: Severity, message: RegExp, spec: DatabaseSpec];

function describeCases(what: string, cases: readonly Case[]): void {
  describe(what, () => {
    for (const [code, severity, message, spec] of cases) {
      test(`${severity}: ${message.source}`, async () => {
        const findings = await check(spec);
        const messages = findings.map((finding) => `${finding.code}: ${finding.message}`).join('\n');
        assert.deepEqual(
          findings.map((finding) => [finding.code, finding.severity]),
          [[code, severity]],
          messages,
        );
        assert.match(findings[0]!.message, message);
        assert.equal(findings[0]!.where.file, 'test.db');
        assert.ok(findings[0]!.where.field, 'names the bucket');
      });
    }
  });
}

describeCases('buckets', [
  ...BUCKETS.filter((name) => !['key', 'meta', 'cluster', 'members'].includes(name)).map((name): Case => [
    'schema.bucket',
    'lossy',
    new RegExp(`^bucket ${name} is missing`),
    { buckets: { [name]: undefined } },
  ]),
  ['schema.bucket', 'fatal', /^bucket key is missing/, { buckets: { key: undefined } }],
  ['schema.bucket', 'lossy', /^bucket "test" is none of etcd's/, { buckets: { test: [] } }],
  ['schema.meta', 'lossy', /^bucket meta holds "other"/, meta({ other: text('x') })],
  [
    'schema.meta',
    'lossy',
    /^bucket auth holds "authRevisioN"/,
    { buckets: { auth: [[text('authRevisioN'), encodeIndex(1)]] } },
  ],
  ['schema.meta', 'lossy', /^bucket cluster holds "Downgrade"/, cluster({ Downgrade: '{}' })],
]);

describeCases('fields of meta', [
  [
    'schema.meta',
    'lossy',
    /consistent_index is missing: a server would apply its whole log again/,
    { ...meta({ consistent_index: undefined }), records: [put(2, 'a')] },
  ],
  [
    'schema.meta',
    'note',
    /consistent_index is missing: no entry was applied yet/,
    meta({ consistent_index: undefined, term: undefined }),
  ],
  [
    'schema.meta',
    'lossy',
    /term is missing although the storage version is written/,
    meta({ term: undefined }),
  ],
  ['schema.meta', 'lossy', /^term is 0$/, meta({ term: encodeIndex(0) })],
  [
    'schema.version',
    'lossy',
    /storage version 3\.9\.0 is not known/,
    meta({ storageVersion: text('3.9.0') }),
  ],
  [
    'schema.version',
    'note',
    /written by etcd 3\.4/,
    meta({ storageVersion: undefined, term: undefined, confState: undefined }),
  ],
]);

describeCases('membership', [
  ['schema.membership', 'note', /^no members are stored/, members()],
  [
    'schema.membership',
    'note',
    /member 8e9e05c52164694d is listed and also marked as removed/,
    { buckets: { members_removed: [[text('8e9e05c52164694d'), text('removed')]] } },
  ],
  [
    'schema.membership',
    'note',
    /members 8e9e05c52164694d and abc share the peer URL http:\/\/127\.0\.0\.1:2380/,
    {
      buckets: {
        members: [memberRow(MEMBER), memberRow({ ...OTHER, peerUrls: MEMBER.peerUrls })],
        meta: metaRows({ confState: encodeConfState({ voters: [MEMBER.id, OTHER.id] }) }),
      },
    },
  ],
  [
    'schema.conf-state',
    'note',
    /lists 8e9e05c52164694d, but the members are 8e9e05c52164694d, abc/,
    members(memberRow(MEMBER), memberRow(OTHER)),
  ],
  [
    'schema.conf-state',
    'note',
    /lists abc, but the members are 8e9e05c52164694d/,
    meta({ confState: encodeConfState({ voters: [OTHER.id] }) }),
  ],
  ['schema.conf-state', 'note', /lists nobody, but/, meta({ confState: encodeConfState({ voters: [] }) })],
]);

describeCases('the cluster', [
  ['schema.cluster-version', 'note', /no cluster version is stored yet/, { buckets: { cluster: [] } }],
  [
    'schema.downgrade',
    'note',
    /a downgrade to 3\.5\.0 is enabled/,
    cluster({ downgrade: '{"target-version":"3.5.0","enabled":true}' }),
  ],
  [
    'schema.alarm',
    'note',
    /alarm NOSPACE of member 8e9e05c52164694d is active, and survives a restore/,
    { buckets: { alarm: [[alarmMember.encode({ memberId: MEMBER.id, alarm: 1 }), text('')]] } },
  ],
  [
    'schema.alarm',
    'note',
    /alarm CORRUPT of member abc/,
    { buckets: { alarm: [[alarmMember.encode({ memberId: 0xabcn, alarm: 2 }), text('')]] } },
  ],
]);

describeCases('users and roles', [
  [
    'schema.auth',
    'note',
    /enabled, but there is no user root/,
    { buckets: { auth: [[text('authEnabled'), Uint8Array.of(1)]] } },
  ],
  [
    'schema.auth',
    'lossy',
    /user root has role reader, which does not exist/,
    { buckets: { authUsers: [userRow({ roles: ['reader', 'root'] })] } },
  ],
  [
    'schema.auth',
    'lossy',
    /key "root": the row is not one that etcd writes/,
    {
      buckets: {
        authUsers: [[text('root'), Buffer.concat([user.encode(ROOT), Buffer.from('2801', 'hex')])]],
      },
    },
  ],
  [
    'schema.auth',
    'lossy',
    /key "root": the row is not one that etcd writes/,
    { buckets: { authUsers: [userRow({ password: text('') })] } },
  ],
  [
    'schema.auth',
    'lossy',
    /key "root": the row is not one that etcd writes/,
    { buckets: { authUsers: [userRow({ options: { noPassword: true } })] } },
  ],
  [
    'schema.auth',
    'lossy',
    /key "reader": the row is not one that etcd writes/,
    {
      buckets: {
        authRoles: [roleRow({ keyPermission: [{ permType: 0, key: text(''), rangeEnd: text('b') }] })],
      },
    },
  ],
]);

describeCases('marks of compaction', [
  [
    'mvcc.compaction',
    'lossy',
    /^compaction is finished at 9, but scheduled at none/,
    meta({ finishedCompactRev: 9 }),
  ],
  [
    'mvcc.compaction',
    'lossy',
    /^compaction is finished at 9, but scheduled at 7/,
    meta({ finishedCompactRev: 9, scheduledCompactRev: 7 }),
  ],
  [
    'mvcc.compaction',
    'lossy',
    /scheduled at 9, but no record is of that revision/,
    pending([put(2, 'a'), put(3, 'a', { createRevision: 2, version: 2 })], 9),
  ],
  [
    'mvcc.compaction',
    'lossy',
    /scheduled at 9, but no record is of that revision/,
    pending([put(2, 'a'), deletion(3, 'a')], 9),
  ],
  ['mvcc.compaction', 'note', /scheduled at 9, and all but finished/, pending([put(4, 'b')], 9)],
  [
    'mvcc.compaction',
    'note',
    /scheduled at 9, and all but finished/,
    pending([put(4, 'b'), put(10, 'a'), put(11, 'a', { createRevision: 10, version: 2 })], 9),
  ],
  ['mvcc.bump', 'note', /1 empty record.* raised to 1004$/, pending([put(4, 'b'), bump(1004)], 1004)],
  [
    'mvcc.bump',
    'note',
    /1 empty record.* raised to 1004$/,
    {
      records: [put(4, 'b'), bump(1004), put(2000, 'c')],
      buckets: { meta: compactedAt({ scheduled: 2000, finished: 2000 }) },
    },
  ],
  [
    'mvcc.lease',
    'note',
    /^2 key\(s\) name a lease that does not exist, the first is "b" \(revision 3, lease ff\)/,
    {
      records: [put(2, 'a', { lease: 7n }), put(3, 'b', { lease: 255n }), put(4, 'c', { lease: 256n })],
      buckets: { lease: [leaseRow(7n)] },
    },
  ],
]);

describe('nothing is found', () => {
  const cases: Array<[what: string, spec: DatabaseSpec]> = [
    ['in a sound database', { records: [put(2, 'a')] }],
    ['in one of 3.5', meta({ storageVersion: undefined })],
    [
      'when a learner is in confState as one',
      {
        buckets: {
          members: [memberRow(MEMBER), memberRow({ ...OTHER, isLearner: true })],
          meta: metaRows({ confState: encodeConfState({ voters: [MEMBER.id], learners: [OTHER.id] }) }),
        },
      },
    ],
    ['when a downgrade was cancelled', cluster({ downgrade: '{"target-version":"","enabled":false}' })],
    [
      'when authentication is on, with a user without password',
      {
        buckets: {
          auth: [
            [text('authEnabled'), Uint8Array.of(1)],
            [text('authRevision'), encodeIndex(3)],
          ],
          authUsers: [
            userRow({}),
            userRow({
              name: text('x'),
              password: text(''),
              roles: ['reader'],
              options: { noPassword: true },
            }),
          ],
          authRoles: [roleRow({})],
        },
      },
    ],
    [
      'when a compaction is pending at a revision that is there',
      pending([put(2, 'a'), deletion(3, 'a'), put(4, 'b')], 3),
    ],
    ['in term 1', meta({ term: encodeIndex(1) })],
    [
      'when a member was removed for good',
      { buckets: { members_removed: [[text('abc'), text('removed')]] } },
    ],
    [
      'when a user has no options, as before 3.4',
      { buckets: { authUsers: [[text('u'), user.encode({ name: text('u'), password: text('x') })]] } },
    ],
    ['when marks agree', meta({ scheduledCompactRev: 9, finishedCompactRev: 9 })],
  ];
  for (const [what, spec] of cases) test(what, async () => assert.deepEqual(await check(spec), []));

  for (const version of ['3.5', '3.6', '3.7']) {
    test(`in a snapshot of ${version}`, async () => {
      assert.deepEqual(await findingsOf(openBytes(readFixture(`snap/snap-${version}.db`))), []);
    });
  }
});

test('without bucket meta everything is said at once', async () => {
  const findings = await check({ records: [put(2, 'a')], buckets: { meta: undefined } });
  assert.deepEqual(findings.map(({ code, severity }) => `${severity} ${code}`).sort(), [
    'fatal schema.bucket',
    'lossy schema.meta',
    'note schema.version',
  ]);
});

test('a row is named by its page and offset', async () => {
  const bytes = buildDatabase({ buckets: { authUsers: [userRow({ roles: ['nobody'] })] } });
  const [finding] = await findingsOf(openBytes(bytes));
  assert.equal(
    finding!.where.offset,
    Buffer.from(bytes).indexOf(Buffer.concat(userRow({ roles: ['nobody'] }))),
  );
  assert.match(finding!.where.unit ?? '', /^page \d+$/);
});

test('a mark of compaction is named by its place', async () => {
  const bytes = buildDatabase(pending([put(2, 'a'), deletion(3, 'a')], 9));
  const [finding] = await findingsOf(openBytes(bytes));
  assert.equal(finding!.where.offset, Buffer.from(bytes).indexOf('scheduledCompactRev'));
});

test('the state is given, whatever was found', async () => {
  const walk = await walkDatabase(
    openBytes(buildDatabase({ buckets: { lease: undefined } })),
    { pages() {}, content: undefined, schema: undefined },
    new Pacer(),
  );
  const state = checkSchema(walk, () => {});
  assert.deepEqual(
    [state.consistentIndex, state.term, state.storageVersion, state.members],
    [20, 2, '3.6.0', [MEMBER]],
  );
});
