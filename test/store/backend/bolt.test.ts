import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { realDisk } from '../../../src/bytes/disk.ts';
import { MemorySource, openFile } from '../../../src/bytes/source.ts';
import { verify } from '../../../src/check/verify.ts';
import { CorruptError } from '../../../src/errors.ts';
import { BoltBackend } from '../../../src/store/backend/bolt.ts';
import { BUCKETS } from '../../../src/store/schema/buckets.ts';
import { boltFile, latin1, readBolt } from '../../support/bolt-spec.ts';
import { contentOfFile } from '../../support/database-content.ts';
import { type DiskCall, faultyDisk, hastyDisk } from '../../support/faulty-disk.ts';
import { readFixture, unpacked } from '../../support/fixtures.ts';
import { scratch } from '../../support/scratch.ts';
import { unchanged } from '../../support/unchanged.ts';
import { fill, Gate, keysOf, made, name, valueOf } from './bolt-subject.ts';
import { buildDatabase, put as record, text } from '../database-builder.ts';

describe('a file', () => {
  test('that is new has the buckets of etcd and no rows; one that is there is not made', async (t) => {
    const { backend, path } = await made(t);
    const source = openFile(path);
    const { findings, buckets } = readBolt(source);
    source.close();
    assert.deepEqual(findings, []);
    assert.deepEqual([...buckets.keys()], BUCKETS);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(dirname(path)), ['db']);
    assert.deepEqual([backend.sizeBytes, backend.inUseBytes], [statSync(path).size, statSync(path).size]);
    await unchanged(path, () =>
      assert.rejects(BoltBackend.open(realDisk(), path, { isNew: true }), { code: 'io.exists' }),
    );
  });

  test('that is not there is not opened', async (t) => {
    const path = join(scratch(t), 'db');
    await assert.rejects(BoltBackend.open(realDisk(), path), { code: 'io.not-found' });
    assert.equal(existsSync(path), false);
  });

  test('that is damaged anywhere is not opened, and is left as it is', async (t) => {
    const path = join(scratch(t), 'db');
    const rows = Array.from({ length: 400 }, (_, i) => record(i + 1, `k${i}`, { value: 'v'.repeat(100) }));
    const content = buildDatabase({ records: rows });
    for (const [page, code] of [
      [4, 'bolt.page.id'],
      [9, 'bolt.page.id'],
    ] as const) {
      const damaged = content.slice();
      damaged[page * 4096]! ^= 0xff;
      writeFileSync(path, damaged);
      await unchanged(path, () =>
        assert.rejects(BoltBackend.open(realDisk(), path), (error) => {
          assert.ok(error instanceof CorruptError);
          assert.equal(error.code, code);
          assert.equal(error.where?.file, path);
          return true;
        }),
      );
    }
    writeFileSync(path, new Uint8Array(16384));
    await assert.rejects(BoltBackend.open(realDisk(), path), { code: 'bolt.meta.none' });
  });

  test('without some of the buckets of etcd gets them with the first commit', async (t) => {
    const path = join(scratch(t), 'db');
    writeFileSync(path, boltFile({ root: 2, pages: { 2: { leaf: [] } }, pageSize: 4096 }));
    const backend = await BoltBackend.open(hastyDisk(), path);
    backend.put('meta', text('k'), text('v'));
    await backend.close();
    const source = openFile(path);
    assert.deepEqual([...readBolt(source).buckets.keys()], BUCKETS);
    source.close();
  });

  test('with a stored freelist is written without one, and its free pages are used', async (t) => {
    const path = join(scratch(t), 'db');
    copyFileSync(unpacked('bbolt/bigfl-0xffff.db.gz', 'bigfl-0xffff.db'), path);
    const backend = await BoltBackend.open(hastyDisk(), path);
    const { sizeBytes, inUseBytes } = backend;
    assert.ok(inUseBytes < sizeBytes / 2, `${inUseBytes} of ${sizeBytes}`);
    fill(backend, 0, 3000);
    await backend.commit();
    assert.equal(backend.sizeBytes, sizeBytes);
    await backend.close();
    const source = openFile(path);
    const { findings, file } = readBolt(source);
    source.close();
    assert.deepEqual(findings, []);
    assert.equal(file.live.freelist, undefined);
  });

  test('of real etcd is written on, and everything else in it stays', async (t) => {
    const path = join(scratch(t), 'db');
    writeFileSync(path, readFixture('snap/snap-3.6.db').subarray(0, -32));
    const before = contentOfFile(path);
    const backend = await BoltBackend.open(hastyDisk(), path);
    backend.put('meta', text('k'), text('v'));
    await backend.commit();
    backend.delete('meta', text('k'));
    await backend.close();
    assert.deepEqual(contentOfFile(path), before);
  });
});

describe('changes', () => {
  test('are seen at once, are in the file after a commit, and are there when it is opened again', async (t) => {
    const { backend, path } = await made(t);
    backend.put('lease', text('a'), text('1'));
    backend.put('lease', text('b'), text('2'));
    backend.delete('lease', text('a'));
    assert.equal(backend.pendingCount, 2);
    assert.equal(valueOf(backend, 'lease', 'b'), '2');
    assert.equal(valueOf(backend, 'lease', 'a'), undefined);
    assert.deepEqual(contentOfFile(path), new Map());
    await backend.commit();
    assert.equal(backend.pendingCount, 0);
    const expected = new Map([['lease', new Map([['b', '2']])]]);
    assert.deepEqual(contentOfFile(path), expected);
    await backend.close();
    assert.deepEqual(contentOfFile(path), expected);
    const again = await BoltBackend.open(hastyDisk(), path);
    assert.equal(valueOf(again, 'lease', 'b'), '2');
    await again.close();
  });

  test('that nobody can store are refused when they are put', async (t) => {
    const { backend } = await made(t);
    assert.throws(() => backend.put('key', text(''), text('v')), { code: 'bolt.key' });
    assert.throws(() => backend.put('key', new Uint8Array(40_000), text('v')), { code: 'bolt.key' });
    await backend.commit();
  });

  test('none of them, and nothing is written', async (t) => {
    const { backend, path } = await made(t);
    await unchanged(path, async () => {
      await backend.commit();
      backend.delete('key', text('never there'));
      await backend.commit();
    });
  });

  test('made while others are written are seen, and belong to the next commit', async (t) => {
    const gate = new Gate();
    const { backend, path } = await made(t, gate.disk);
    for (const key of ['a', 'b', 'c', 'd']) backend.put('lease', text(key), text('first'));
    const first = backend.commit();
    await gate.reached();
    assert.equal(backend.pendingCount, 0);
    backend.put('lease', text('b'), text('second'));
    backend.delete('lease', text('c'));
    backend.put('lease', text('e'), text('second'));
    const seen = (): unknown[] => [
      keysOf(backend, 'lease'),
      ['a', 'b', 'c', 'e'].map((key) => valueOf(backend, 'lease', key)),
    ];
    const expected = [
      ['a', 'b', 'd', 'e'],
      ['first', 'second', undefined, 'second'],
    ];
    assert.deepEqual(seen(), expected);
    assert.equal(backend.pendingCount, 3);
    await gate.letCommit();
    await first;
    assert.deepEqual(seen(), expected);
    assert.deepEqual([...contentOfFile(path).get('lease')!.values()], Array(4).fill('first'));
    const second = backend.commit();
    await gate.letCommit();
    await second;
    assert.deepEqual(seen(), expected);
    assert.deepEqual([...contentOfFile(path).get('lease')!.keys()], ['a', 'b', 'd', 'e']);
  });

  test('a scan goes on where it was when a commit ends under it', async (t) => {
    const gate = new Gate();
    const { backend } = await made(t, gate.disk);
    fill(backend, 0, 3000);
    const filled = backend.commit();
    await gate.letCommit();
    await filled;
    for (let i = 0; i < 3000; i += 2) backend.delete('key', text(name(i)));
    const commit = backend.commit();
    const seen: string[] = [];
    for (const { key } of backend.scan('key', { from: text(name(100)) })) {
      seen.push(latin1(key));
      if (seen.length === 500) await gate.letCommit().then(() => commit);
      if (seen.length === 900) {
        for (let i = 0; i < 3000; i++) backend.put('lease', text(name(i)), text('over it all'.repeat(9)));
        const other = backend.commit();
        await gate.letCommit();
        await other;
      }
    }
    const odd = Array.from({ length: 1450 }, (_, i) => name(101 + 2 * i));
    assert.deepEqual(seen, odd);
  });
});

describe('commits', () => {
  test('wait for each other, and those that wait become one', async (t) => {
    const gate = new Gate();
    const { backend, path } = await made(t, gate.disk);
    const ended: string[] = [];
    const start = (what: string): void => {
      backend.put('lease', text(what), text('v'));
      void backend.commit().then(() => ended.push(what));
    };
    start('a');
    await gate.reached();
    for (const what of ['b', 'c', 'd']) start(what);
    assert.deepEqual(ended, []);
    await gate.letCommit();
    await gate.reached();
    assert.deepEqual(ended, ['a']);
    assert.deepEqual([...contentOfFile(path).get('lease')!.keys()], ['a']);
    await gate.letCommit();
    await backend.commit();
    assert.deepEqual(ended, ['a', 'b', 'c', 'd']);
    assert.deepEqual([...contentOfFile(path).get('lease')!.keys()], ['a', 'b', 'c', 'd']);
  });

  test('leave a file in which verify finds nothing', async (t) => {
    const { backend, path } = await made(t);
    const { buckets } = readBolt(new MemorySource(buildDatabase()));
    for (const [bucket, { pairs }] of buckets)
      for (const [key, value] of pairs) backend.put(bucket, text(key), text(value));
    for (let revision = 2; revision < 3000; revision++) {
      const [key, value] = record(revision, `key-${revision}`, { value: 'v'.repeat(revision % 300) });
      backend.put('key', key, value);
      if (revision % 250 === 0) await backend.commit();
      if (revision === 2000) await backend.defrag();
    }
    await backend.close();
    const { findings, verdict } = await verify(path);
    assert.deepEqual([findings, verdict], [[], 'GOOD']);
  });

  test('of very many changes let others run, and rows be read and put', async (t) => {
    const { backend, path } = await made(t);
    fill(backend, 0, 100_000, 'v');
    let isOver = false;
    const commit = backend.commit().then(() => (isOver = true));
    let turns = 0;
    for (; !isOver; turns++) {
      assert.equal(valueOf(backend, 'key', name(turns)), 'v');
      backend.put('lease', text(name(turns)), text('later'));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await commit;
    assert.ok(turns > 1, `${turns} turns`);
    assert.deepEqual([...contentOfFile(path).keys()], ['key']);
    await backend.commit();
    assert.equal(contentOfFile(path).get('lease')!.size, turns);
  });

  test('use the pages that earlier ones gave back', async (t) => {
    const { backend } = await made(t);
    fill(backend, 0, 2000);
    await backend.commit();
    const sizes: number[] = [];
    for (let round = 0; round < 20; round++) {
      fill(backend, 0, 2000, String(round % 10).repeat(100));
      await backend.commit();
      sizes.push(backend.sizeBytes);
    }
    assert.equal(new Set(sizes.slice(2)).size, 1, sizes.join(' '));
    assert.ok(backend.inUseBytes < backend.sizeBytes * 0.6);
  });

  test('seldom make the file longer', async (t) => {
    const calls: DiskCall[] = [];
    const disk = faultyDisk(undefined, { disk: hastyDisk(), onCall: (call) => calls.push(call) });
    const { backend, path } = await made(t, disk);
    for (let round = 0; round < 100; round++) {
      fill(backend, 100 * round, 100 * (round + 1));
      await backend.commit();
    }
    const growths = calls.filter(({ operation }) => operation === 'truncate').length;
    assert.ok(growths > 3 && growths < 12, `${growths}`);
    assert.ok(statSync(path).size >= backend.sizeBytes);
  });

  test('are durable before they end: pages before the meta, the meta before the end', async (t) => {
    const calls: DiskCall[] = [];
    const disk = faultyDisk(undefined, { disk: hastyDisk(), onCall: (call) => calls.push(call) });
    const { backend } = await made(t, disk);
    fill(backend, 0, 2000);
    calls.length = 0;
    await backend.commit();
    const kinds = calls.map(({ operation, position }) =>
      operation === 'write' ? (position! < 8192 ? 'meta' : 'pages') : operation,
    );
    assert.deepEqual(new Set(kinds.slice(0, -3)), new Set(['truncate', 'pages']));
    assert.deepEqual(kinds.slice(-3), ['sync', 'meta', 'sync']);
  });

  for (const what of ['the first sync', 'the second sync', 'the write of the meta'] as const) {
    test(`${what} fails, and every later one does; what was put is still read`, async (t) => {
      let left = Infinity;
      const disk = faultyDisk(undefined, {
        disk: hastyDisk(),
        onCall({ operation, position, bytes }) {
          const isMeta = operation === 'write' && position! < 8192 && bytes!.length === 4096;
          if (what === 'the write of the meta' ? isMeta : operation === 'sync') left--;
          if (left === 0) throw new CorruptError('io.failed', 'the disk is gone');
        },
      });
      const { backend, path } = await made(t, disk);
      fill(backend, 0, 100);
      await backend.commit();
      const before = contentOfFile(path);
      fill(backend, 100, 200);
      left = what === 'the second sync' ? 2 : 1;
      await assert.rejects(backend.commit(), { code: 'io.failed' });
      left = Infinity;
      backend.put('lease', text('k'), text('v'));
      for (const run of [() => backend.commit(), () => backend.openView(), () => backend.defrag()]) {
        await assert.rejects(run(), (error) => {
          assert.equal((error as { code: string }).code, 'backend.failed');
          assert.equal((error as { cause: { code: string } }).cause.code, 'io.failed');
          return true;
        });
      }
      assert.equal(keysOf(backend, 'key').length, 200);
      assert.equal(valueOf(backend, 'key', name(150)), 'v'.repeat(100));
      await assert.rejects(backend.close(), { code: 'backend.failed' });
      const left200 = contentOfFile(path);
      assert.ok(left200.get('key')!.size === before.get('key')!.size || what === 'the second sync');
    });
  }
});

test('a closed backend takes no commit', async (t) => {
  const { backend, path } = await made(t);
  backend.put('lease', text('k'), text('v'));
  await backend.close();
  await backend.close();
  await assert.rejects(backend.commit(), { code: 'unexpected' });
  assert.deepEqual([...contentOfFile(path).keys()], ['lease']);
});
