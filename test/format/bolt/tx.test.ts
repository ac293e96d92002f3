import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Disk, realDisk } from '../../../src/bytes/disk.ts';
import { MemorySource, openFile } from '../../../src/bytes/source.ts';
import { ToolError } from '../../../src/errors.ts';
import { BoltEditor, editBolt } from '../../../src/format/bolt/tx.ts';
import { boltFile, type BoltFileSpec, type BoltReading, latin1, readBolt } from '../../support/bolt-spec.ts';
import { fixture, readFixture, unpacked, VERSIONS } from '../../support/fixtures.ts';
import { Random, seedOfRun } from '../../support/mutate.ts';
import { scratch } from '../../support/scratch.ts';
import { unchanged } from '../../support/unchanged.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const EMPTY = { root: 2, pages: { 2: { leaf: [] } } } as const;

function newFile(t: Parameters<typeof scratch>[0], content: Uint8Array): string {
  const path = join(scratch(t), 'db');
  writeFileSync(path, content);
  return path;
}

function readFile(path: string): BoltReading {
  const source = openFile(path);
  try {
    return readBolt(source);
  } finally {
    source.close();
  }
}

/** Reads the file back, asserts that nothing is wrong with it, and gives its pairs by bucket. */
function contentOf(path: string): Record<string, Record<string, string>> {
  const { findings, buckets } = readFile(path);
  assert.deepEqual(findings, []);
  return Object.fromEntries([...buckets].map(([name, { pairs }]) => [name, Object.fromEntries(pairs)]));
}

test('puts, replaces and deletes; makes buckets that are not there', async (t) => {
  const path = newFile(
    t,
    boltFile({ root: 3, pages: { 3: { leaf: [{ bucket: 'b', inline: [['k', 'v']] }] } } }),
  );
  const meta = await editBolt(realDisk(), path, (tx) => {
    const b = tx.bucket(bytes('b'))!;
    b.put(bytes('k2'), bytes('v2'));
    b.put(bytes('k'), bytes('other'));
    assert.equal(tx.bucket(bytes('absent')), undefined);
    tx.ensureBucket(bytes('a')).put(bytes('x'), bytes(''));
    assert.equal(latin1(tx.ensureBucket(bytes('b')).get(bytes('k'))!), 'other');
    tx.ensureBucket(bytes('empty'));
  });
  assert.equal(meta.txid, 2n);
  assert.equal(meta.page, 0);
  assert.equal(meta.freelist, undefined);
  assert.deepEqual(contentOf(path), { a: { x: '' }, b: { k: 'other', k2: 'v2' }, empty: {} });

  await editBolt(realDisk(), path, (tx) => {
    assert.equal(tx.bucket(bytes('b'))!.delete(bytes('k')), true);
    assert.equal(tx.bucket(bytes('b'))!.delete(bytes('k1')), false);
  });
  assert.deepEqual(contentOf(path), { a: { x: '' }, b: { k2: 'v2' }, empty: {} });
});

test('a transaction without changes, one that is discarded, and one whose edit throws write nothing', async (t) => {
  const path = newFile(t, boltFile(EMPTY));
  await unchanged(path, async () => {
    const meta = await editBolt(realDisk(), path, (tx) => assert.equal(tx.bucket(bytes('b')), undefined));
    assert.equal(meta.txid, 1n);
    await assert.rejects(
      editBolt(realDisk(), path, (tx) => {
        tx.ensureBucket(bytes('b')).put(bytes('k'), bytes('v'));
        throw new RangeError('stop');
      }),
      RangeError,
    );
    const editor = await BoltEditor.open(realDisk(), path);
    const tx = editor.begin();
    const bucket = tx.ensureBucket(bytes('b'));
    assert.throws(() => editor.begin(), { code: 'unexpected' });
    tx.discard();
    for (const late of [
      () => bucket.put(bytes('k'), bytes('v')),
      () => bucket.get(bytes('k')),
      () => tx.commit(),
    ]) {
      assert.throws(late, { code: 'unexpected', message: 'the transaction is over' });
    }
    assert.equal(editor.begin().isOpen, true);
    editor.close();
  });
});

test('keys and values that bbolt does not take are refused', async (t) => {
  const path = newFile(t, boltFile(EMPTY));
  await editBolt(realDisk(), path, (tx) => {
    const b = tx.ensureBucket(bytes('b'));
    for (const size of [0, 32769]) {
      assert.throws(() => b.put(new Uint8Array(size), bytes('v')), { code: 'bolt.key' });
      assert.throws(() => tx.ensureBucket(new Uint8Array(size)), { code: 'bolt.key' });
    }
    b.put(new Uint8Array(32768).fill(0x61), bytes('longest'));
  });
  assert.deepEqual(Object.values(contentOf(path)['b']!), ['longest']);
});

test('a bucket becomes inline at a quarter of a page, and paged beyond it', async (t) => {
  for (const pageSize of [1024, 4096, 65536]) {
    const path = newFile(t, boltFile({ ...EMPTY, pageSize }));
    for (const [size, isInline] of [
      [pageSize / 4, true],
      [pageSize / 4 + 1, false],
      [pageSize / 4, true],
    ] as const) {
      await editBolt(realDisk(), path, (tx) => {
        tx.ensureBucket(bytes('b')).put(bytes('k'), new Uint8Array(size - 16 - 16 - 1));
      });
      const { file, findings } = readFile(path);
      assert.deepEqual(findings, []);
      assert.equal(file.bucket('b')!.root === 0, isInline, `${size} of ${pageSize}`);
    }
  }
});

test('sequences, nested buckets and the stored freelist of a general bbolt file survive', async (t) => {
  const path = join(scratch(t), 'db');
  copyFileSync(fixture('bbolt/nested.db'), path);
  const before = readFile(path).buckets;
  await editBolt(realDisk(), path, (tx) => {
    const outer = tx.bucket(bytes('outer'))!;
    assert.equal(outer.get(bytes('inner')), undefined);
    assert.throws(() => outer.put(bytes('inner'), bytes('v')), { code: 'bolt.bucket' });
    assert.throws(() => outer.delete(bytes('inner')), { code: 'bolt.bucket' });
    outer.put(bytes('new'), bytes('pair'));
    tx.bucket(bytes('big'))!.delete(bytes('ov'));
  });
  const { findings, buckets, file } = readFile(path);
  assert.deepEqual(findings, []);
  before.get('outer')!.pairs.set('new', 'pair');
  before.get('big')!.pairs.clear();
  assert.deepEqual(buckets, before);
  assert.equal(buckets.get('outer')!.sequence, 42n);
  // It would fit, but holds a bucket.
  assert.equal(file.bucket('outer')!.inline, undefined);
  assert.equal(file.live.freelist, undefined);
});

for (const name of [
  'init.db',
  'init-nofl.db',
  'smallfl.db.gz',
  'ps1024.db.gz',
  'ps65536.db.gz',
  'bigfl-0xffff.db.gz',
]) {
  test(`${name} can be edited, again and again without growing`, async (t) => {
    const path = join(scratch(t), 'db');
    const plain = name.replace('.gz', '');
    if (plain === name) copyFileSync(fixture(`bbolt/${name}`), path);
    else copyFileSync(unpacked(`bbolt/${name}`, plain), path);
    const limits: number[] = [];
    const editor = await BoltEditor.open(realDisk(), path);
    for (let round = 0; round < 6; round++) {
      const tx = editor.begin();
      const b = tx.ensureBucket(bytes('b'));
      for (let i = 0; i < 40; i++) b.put(bytes(`round-${i}`), bytes(`${round}`.repeat(60)));
      limits.push(tx.commit().pageLimit);
      assert.equal(contentOf(path)['b']!['round-7'], `${round}`.repeat(60));
    }
    editor.close();
    assert.deepEqual(limits.slice(2), Array(4).fill(limits[2]));
  });
}

test('the live meta is never overwritten, also in a snapshot, where it is always on page 0', async (t) => {
  for (const [live, next] of [
    [40n, 41n],
    [41n, 43n],
  ] as const) {
    const metas: BoltFileSpec['metas'] = [{ txid: live }, { txid: live - 1n }];
    const path = newFile(t, boltFile({ ...EMPTY, metas }));
    const meta = await editBolt(realDisk(), path, (tx) => void tx.ensureBucket(bytes('b')));
    assert.deepEqual([meta.page, meta.txid], [1, next]);
    assert.deepEqual(contentOf(path), { b: {} });
  }
});

for (const version of VERSIONS) {
  test(`a snapshot of ${version} without its trailer can be edited`, async (t) => {
    const path = newFile(t, readFixture(`snap/snap-${version}.db`).subarray(0, -32));
    const before = readFile(path).buckets;
    await editBolt(realDisk(), path, (tx) => tx.bucket(bytes('members'))!.put(bytes('k'), bytes('v')));
    const { findings, buckets } = readFile(path);
    assert.deepEqual(findings, []);
    before.get('members')!.pairs.set('k', 'v');
    assert.deepEqual(buckets, before);
  });
}

test('a damaged database is not edited', async (t) => {
  const content = boltFile({
    root: 2,
    pages: { 2: { leaf: [{ bucket: 'b', root: 3 }] }, 3: { id: 4, leaf: [['k', 'v']] } },
  });
  const path = newFile(t, content);
  await unchanged(path, () =>
    assert.rejects(
      editBolt(realDisk(), path, () => assert.fail()),
      (error) => error instanceof ToolError && error.code === 'bolt.page.id',
    ),
  );
});

/** What an editor did to its file, in order. */
type Operation = { kind: 'write'; position: number; bytes: Uint8Array } | { kind: 'sync' };

/** The disk with a log, which fails instead of doing operation `failAt`. */
function recordingDisk(log: Operation[], failAt = Infinity): Disk {
  const disk = realDisk();
  const note = (operation: Operation): void => {
    if (log.length >= failAt) throw new ToolError('io.failed', 'the disk is gone');
    log.push(operation);
  };
  return {
    ...disk,
    write(fd, content, position) {
      note({ kind: 'write', position, bytes: content.slice() });
      disk.write(fd, content, position);
    },
    sync(fd) {
      note({ kind: 'sync' });
      disk.sync(fd);
    },
  };
}

const SECTOR_SIZE = 512;

/** The file after a loss of power at `crash`: what was synced, and any sectors of what was written since. */
function survivor(
  original: Uint8Array,
  log: readonly Operation[],
  crash: number,
  random: Random,
): Uint8Array {
  const done = log.slice(0, crash);
  const synced = done.findLastIndex(({ kind }) => kind === 'sync');
  const size = done.reduce(
    (end, op) => (op.kind === 'write' ? Math.max(end, op.position + op.bytes.length) : end),
    original.length,
  );
  const image = new Uint8Array(size);
  image.set(original);
  // All, nothing, or some of what was not synced.
  const share = random.pick([0, 0.5, 0.9, 1]);
  for (const [i, op] of done.entries()) {
    if (op.kind === 'sync') continue;
    for (let at = 0; at < op.bytes.length; at += SECTOR_SIZE) {
      if (i < synced || random.chance(share))
        image.set(op.bytes.subarray(at, at + SECTOR_SIZE), op.position + at);
    }
  }
  return image;
}

/** All of a content, comparable as one text; throws when the check finds anything. */
function stateOf(image: Uint8Array): string {
  const { findings, buckets } = readBolt(new MemorySource(image));
  assert.deepEqual(findings, []);
  return JSON.stringify([...buckets].map(([name, { pairs }]) => [name, ...pairs]));
}

/** One transaction of puts and deletes that touches most of a small tree. */
async function change(disk: Disk, path: string, random: Random, isAppendOnly = false): Promise<void> {
  const edit: Parameters<typeof editBolt>[2] = (tx) => {
    for (let i = 0; i < 60; i++) {
      const bucket = tx.ensureBucket(bytes(random.pick(['a', 'b'])));
      const key = bytes(`key-${random.below(80)}`);
      if (random.chance(0.4)) bucket.delete(key);
      else bucket.put(key, random.bytes(random.below(random.chance(0.1) ? 3000 : 100)));
    }
  };
  await editBolt(disk, path, edit, { isAppendOnly });
}

test('a crash after any operation leaves the old state or the new one', async (t) => {
  const seed = seedOfRun();
  t.diagnostic(`seed ${seed}`);
  const random = new Random(seed);
  const path = newFile(t, boltFile(EMPTY));
  for (let round = 0; round < 12; round++) {
    const original = readFileSync(path);
    const log: Operation[] = [];
    await change(recordingDisk(log), path, random, round % 3 === 2);
    const states = [stateOf(original), stateOf(readFileSync(path))];
    // Sync on opening, then pages, sync, meta, sync.
    assert.deepEqual(
      log.slice(-3).map(({ kind }) => kind),
      ['sync', 'write', 'sync'],
    );
    for (let crash = 0; crash <= log.length; crash++) {
      for (let variant = 0; variant < 8; variant++) {
        const state = stateOf(survivor(original, log, crash, random));
        const allowed = crash === log.length ? [states[1]] : crash < log.length - 1 ? [states[0]] : states;
        assert.ok(
          allowed.includes(state),
          `seed ${seed}, round ${round}, crash after ${crash} of ${log.length}`,
        );
      }
    }
  }
});

test('a meta that was torn at any byte leaves the old state or the new one', async (t) => {
  const path = newFile(t, boltFile({ ...EMPTY, metas: [{ txid: 4n }, { txid: 5n }] }));
  const original = readFileSync(path);
  const log: Operation[] = [];
  await change(recordingDisk(log), path, new Random(1));
  const after = readFileSync(path);
  const states = [stateOf(original), stateOf(after)];
  const meta = log.at(-2)!;
  assert.ok(meta.kind === 'write');
  for (let size = 0; size <= 128; size++) {
    const image = after.slice();
    image.set(original.subarray(0, 1024), meta.position);
    image.set(meta.bytes.subarray(0, size), meta.position);
    const state = readBolt(new MemorySource(image));
    assert.deepEqual(
      state.findings.filter(({ where }) => where.unit !== 'page 0'),
      [],
      `torn after ${size} bytes`,
    );
    assert.ok(
      states.includes(JSON.stringify([...state.buckets].map(([name, { pairs }]) => [name, ...pairs]))),
    );
  }
});

test('a kill before the last sync, then an edit, then a loss of power: one of the three states is whole', async (t) => {
  const seed = seedOfRun();
  t.diagnostic(`seed ${seed}`);
  const random = new Random(seed);
  const path = newFile(t, boltFile(EMPTY));
  for (let i = 0; i < 3; i++) await change(realDisk(), path, random);
  const original = readFileSync(path);
  const log: Operation[] = [];
  const copy = newFile(t, original);
  const plain: Operation[] = [];
  const twin = new Random(seed);
  await change(recordingDisk(plain), copy, twin);
  await assert.rejects(change(recordingDisk(log, plain.length - 1), path, new Random(seed)), {
    code: 'io.failed',
  });
  const states = [stateOf(original), stateOf(readFileSync(path))];
  await change(recordingDisk(log), path, random);
  states.push(stateOf(readFileSync(path)));
  for (let crash = 0; crash <= log.length; crash++) {
    for (let variant = 0; variant < 20; variant++) {
      const state = stateOf(survivor(original, log, crash, random));
      assert.ok(states.includes(state), `seed ${seed}, crash after ${crash} of ${log.length}`);
    }
  }
});

test('after a commit that failed the editor takes no more; opened again, it goes on from a whole state', async (t) => {
  const log: Operation[] = [];
  const path = newFile(t, boltFile(EMPTY));
  const whole: Operation[] = [];
  await change(recordingDisk(whole), newFile(t, boltFile(EMPTY)), new Random(3));
  for (let failAt = 1; failAt < whole.length; failAt++) {
    log.length = 0;
    const editor = await BoltEditor.open(recordingDisk(log, failAt), path);
    const tx = editor.begin();
    tx.ensureBucket(bytes('b')).put(bytes(`k${failAt}`), bytes('v'));
    const operations = 5;
    if (failAt < operations) {
      assert.throws(() => tx.commit(), { code: 'io.failed' });
      assert.throws(() => editor.begin(), { code: 'unexpected' });
    } else tx.commit();
    editor.close();
    assert.deepEqual(readFile(path).findings, []);
  }
});
