/**
 * Files that change while they are read: a server commits to them, or they shrink. What is read of such a file proves
 * nothing, so it is never called good, and never damaged for what a commit did. The changes are made from within the
 * walk, whenever it lets others run, so that they fall into it.
 */
import assert from 'node:assert/strict';
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { verify } from '../../src/check/verify.ts';
import { BulkWriter } from '../../src/format/bolt/bulk.ts';
import { encodeMetaPage } from '../../src/format/bolt/meta.ts';
import { keyValue } from '../../src/format/proto/mvccpb.ts';
import { plainContext } from '../../src/ops/context.ts';
import { hashKV } from '../../src/ops/inspect/hashkv.ts';
import { snapshotStatus } from '../../src/ops/snapshot/status.ts';
import { defragment } from '../../src/ops/upkeep/defrag.ts';
import { encodeRevision } from '../../src/store/mvcc/record.ts';
import { BUCKETS } from '../../src/store/schema/buckets.ts';
import { hastyDisk } from '../support/faulty-disk.ts';
import { readFixture } from '../support/fixtures.ts';
import { scratch } from '../support/scratch.ts';
import { type End, endOf } from './probe.ts';

const PAGE_SIZE = 4096;
const RECORDS = 100_000;
const VALUE_SIZE = 400;
const TRIES = 3;
/** Three walks, on a machine that does other things too. */
const LARGE_LIMIT_MS = 20_000;

interface LargeDatabase {
  path: string;
  root: number;
  pageLimit: number;
  txid: bigint;
}

/** Some 50 MB: a walk over it rests a few times. */
function makeLarge(path: string): Omit<LargeDatabase, 'path'> {
  const fd = openSync(path, 'w');
  const writer = new BulkWriter(
    { write: (bytes, at) => writeSync(fd, bytes, 0, bytes.length, at) },
    { pageSize: PAGE_SIZE },
  );
  const value = new Uint8Array(VALUE_SIZE).fill(0x61);
  for (const name of BUCKETS) {
    writer.beginBucket(Buffer.from(name));
    for (let main = 2; name === 'key' && main < RECORDS + 2; main++) {
      const key = Buffer.from(`/key/${main}`);
      writer.addPair(
        encodeRevision(main, 0),
        keyValue.encode({ key, createRevision: main, modRevision: main, version: 1, value, lease: 0n }),
      );
    }
    if (name === 'meta') writer.addPair(Buffer.from('consistent_index'), Buffer.alloc(8, 1).fill(0, 0, 6));
    writer.endBucket();
  }
  const { pageLimit } = writer.finish({ txid: 9n });
  closeSync(fd);
  return { root: rootOf(path), pageLimit, txid: 9n };
}

function rootOf(path: string): number {
  const fd = openSync(path, 'r');
  const bytes = Buffer.alloc(8);
  readSync(fd, bytes, 0, bytes.length, 32);
  closeSync(fd);
  return Number(bytes.readBigUInt64LE());
}

/** What a commit does to the metas: the older one is written anew, with the next transaction. */
function commit(database: LargeDatabase): void {
  const { path, root, pageLimit } = database;
  const txid = ++database.txid;
  const page = Number(txid % 2n);
  const meta = encodeMetaPage({
    page,
    pageSize: PAGE_SIZE,
    root,
    sequence: 0n,
    freelist: undefined,
    pageLimit,
    txid,
  });
  const fd = openSync(path, 'r+');
  writeSync(fd, meta, 0, 80, page * PAGE_SIZE);
  closeSync(fd);
}

/** Overwrites pages here and there, as a server does with those it has freed. */
function scribble({ path, pageLimit }: LargeDatabase): void {
  const fd = openSync(path, 'r+');
  for (let page = 5; page < pageLimit; page += 97)
    writeSync(fd, Buffer.alloc(64, 0xee), 0, 64, page * PAGE_SIZE);
  closeSync(fd);
}

/** Runs every verb with `change` called in the middle of its walk. */
async function endsWith(
  path: string,
  output: string,
  change: () => void,
): Promise<Record<string, End<unknown>>> {
  const context = plainContext({ disk: hastyDisk(), progress: () => change });
  const ends = {
    status: await endOf('status', () => snapshotStatus(path, context), LARGE_LIMIT_MS),
    hashkv: await endOf('hashkv', () => hashKV(path, { revision: 0 }, context), LARGE_LIMIT_MS),
    defrag: await endOf(
      'defrag',
      () => defragment({ file: path, output }, { timeoutMs: 1 }, context),
      LARGE_LIMIT_MS,
    ),
  };
  assert.ok(!existsSync(output), 'defrag left something behind');
  return ends;
}

describe('files that change while they are read', () => {
  const directory = scratch({ after });
  const output = join(directory, 'out.db');
  const original = join(directory, 'large.db');
  const large = makeLarge(original);
  const copyOf = (name: string): LargeDatabase => {
    const path = join(directory, name);
    copyFileSync(original, path);
    return { ...large, path };
  };

  test('a writer that goes on: changed while read, after three tries', async () => {
    const database = copyOf('written.db');
    let changes = 0;
    const change = (): void => {
      changes++;
      commit(database);
    };
    const report = await verify(database.path, { progress: change });
    assert.equal(report.verdict, 'CHANGED WHILE READ');
    assert.equal(report.damageCount, 0);
    assert.ok(changes >= TRIES, `only ${changes} changes`);
    assert.match(JSON.stringify(report.findings), /snapshot save/);
    for (const [verb, { error }] of Object.entries(await endsWith(database.path, output, change))) {
      assert.equal(error?.code, 'backup.changing', verb);
    }
  });

  test('a writer that goes on and overwrites pages: nothing found counts', async () => {
    const database = copyOf('scribbled.db');
    const streamed: unknown[] = [];
    const report = await verify(database.path, {
      progress() {
        scribble(database);
        commit(database);
      },
      onFinding: (finding) => streamed.push(finding),
    });
    assert.equal(report.verdict, 'CHANGED WHILE READ');
    assert.deepEqual(
      report.findings.map(({ code }) => code),
      ['backup.changing'],
    );
    assert.equal(streamed.length, 1);
  });

  test('a writer that stops: the next walk counts', async () => {
    const database = copyOf('settled.db');
    let changes = 0;
    const report = await verify(database.path, {
      progress() {
        if (changes++ === 0) commit(database);
      },
    });
    assert.ok(changes > 1);
    assert.equal(report.damageCount, 0, JSON.stringify(report.findings.slice(0, 3)));
    assert.ok(report.verdict.startsWith('GOOD'), report.verdict);
  });

  test('a file that shrinks', async () => {
    for (const remaining of [0, PAGE_SIZE, 3 * PAGE_SIZE + 100, 8 << 20]) {
      const { path } = copyOf(`shrinking-${remaining}.db`);
      const { value: report } = await endOf(
        'verify',
        () => verify(path, { progress: () => truncateSync(path, remaining) }),
        LARGE_LIMIT_MS,
      );
      assert.ok(report && !report.verdict.startsWith('GOOD'), report?.verdict);
      assert.ok(report.findings.length > 0);
    }
    const { path } = copyOf('shrinking.db');
    const ends = await endsWith(path, output, () => truncateSync(path, 1 << 20));
    for (const [verb, { error }] of Object.entries(ends)) assert.ok(error, `${verb} succeeded`);
  });

  test('a thread that commits without pause: never damaged', async () => {
    const path = join(directory, 'hurried.db');
    const bytes = Buffer.from(readFixture('snap/snap-3.6.db')).subarray(0, -32);
    writeFileSync(path, bytes);
    const metas = [0, 1].map((page) => Buffer.from(bytes.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE)));
    const worker = new Worker(COMMITTER, { eval: true, workerData: { path, metas: metasOf(metas) } });
    await new Promise((resolve) => worker.once('message', resolve));
    try {
      for (let i = 0; i < 20; i++) {
        const { verdict, findings } = await verify(path);
        assert.ok(
          verdict === 'CHANGED WHILE READ' || verdict.startsWith('GOOD'),
          `${verdict}: ${JSON.stringify(findings[0])}`,
        );
      }
    } finally {
      await worker.terminate();
    }
  });
});

/** The next thousand transactions' metas, by turns on page 0 and 1. */
function metasOf(pages: readonly Buffer[]): Buffer[] {
  const root = Number(pages[0]!.readBigUInt64LE(32));
  const pageLimit = Number(pages[0]!.readBigUInt64LE(56));
  const first = 1000n;
  return Array.from({ length: 1000 }, (_, i) => {
    const txid = first + BigInt(i);
    const page = Number(txid % 2n);
    return Buffer.from(
      encodeMetaPage({
        page,
        pageSize: PAGE_SIZE,
        root,
        sequence: 0n,
        freelist: undefined,
        pageLimit,
        txid,
      }).subarray(0, 80),
    );
  });
}

const COMMITTER = `
const { openSync, writeSync } = require('node:fs');
const { parentPort, workerData } = require('node:worker_threads');
const fd = openSync(workerData.path, 'r+');
for (let turn = 0; ; turn++) {
  const i = turn % workerData.metas.length;
  writeSync(fd, workerData.metas[i], 0, 80, (i % 2) * 4096);
  if (turn === 0) parentPort.postMessage('started');
}
`;
