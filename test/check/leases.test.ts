import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkLeaseRows } from '../../src/check/leases.ts';
import type { Finding } from '../../src/errors.ts';
import { lease } from '../../src/format/proto/leasepb.ts';
import { LeaseIdSet } from '../../src/store/schema/lease-ids.ts';
import { buildDatabase, leaseRow, openBytes, type Pair } from '../store/database-builder.ts';

function check(rows: Pair[]): { ids: LeaseIdSet; findings: Finding[]; bytes: Uint8Array } {
  const findings: Finding[] = [];
  const bytes = buildDatabase({ buckets: { lease: rows }, pageSize: 1024 });
  const bolt = openBytes(bytes, (finding) => findings.push(finding));
  const ids = new LeaseIdSet();
  const leaves = bolt.leaves(bolt.bucket('lease')!);
  for (let leaf = leaves.next(); leaf; leaf = leaves.next()) checkLeaseRows(leaf, ids, bolt);
  return { ids, findings, bytes };
}

const ID = 0x694d71ad00000001n;
const key = leaseRow(ID)[0];

test('sound rows are collected, those of negative ids and those with time left too', () => {
  const rows = Array.from({ length: 500 }, (_, i) => leaseRow(ID + BigInt(i), i + 1));
  const left: Pair = [leaseRow(5n)[0], lease.encode({ id: 5n, ttl: 60, remainingTtl: 30 })];
  const { ids, findings } = check([left, ...rows, leaseRow(-2n)]);
  assert.deepEqual(findings, []);
  assert.equal(ids.count, 502);
  assert.ok(ids.has(5, 0));
  assert.ok(ids.has(1 + 499, 0x694d71ad));
  assert.ok(ids.has(0xfffffffe, 0xffffffff));
  assert.equal(ids.has(501, 0x694d71ad), false);
});

const malformed: Array<[message: RegExp, row: Pair, isCollected: boolean]> = [
  [/^a lease id has 7 bytes, expected 8/, [key.subarray(1), leaseRow(ID)[1]], false],
  [/^a lease id has 9 bytes/, [Buffer.concat([key, key.subarray(0, 1)]), leaseRow(ID)[1]], false],
  [/names itself 694d71ad00000002/, [key, leaseRow(ID + 1n)[1]], true],
  [/has a time to live of 0 s/, [key, lease.encode({ id: ID })], true],
  [/the row of lease 694d71ad00000001 does not decode/, [key, Buffer.from('0a', 'hex')], true],
  [
    /does not decode/,
    [key, Buffer.concat([lease.encode({ id: ID }), Buffer.from(`10${'ff'.repeat(9)}01`, 'hex')])],
    true,
  ],
  [
    /holds fields that etcd does not write/,
    [key, Buffer.concat([leaseRow(ID)[1], Buffer.from('2001', 'hex')])],
    true,
  ],
  [
    /holds fields that etcd does not write/,
    [key, Buffer.concat([leaseRow(ID)[1], Buffer.from('1800', 'hex')])],
    true,
  ],
];
for (const [message, row, isCollected] of malformed) {
  test(`malformed: ${message.source}`, () => {
    const { ids, findings, bytes } = check([leaseRow(3n), row]);
    assert.equal(findings.length, 1);
    const { code, severity, message: found, where } = findings[0]!;
    assert.deepEqual([code, severity, where.field], ['schema.lease', 'lossy', 'bucket lease']);
    assert.match(found, message);
    assert.equal(where.offset, Buffer.from(bytes).indexOf(Buffer.concat(row)));
    // Its id exists, whatever else is wrong: keys that name it are not orphans.
    assert.equal(ids.count, isCollected ? 2 : 1);
  });
}
