import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource } from '../../../src/bytes/source.ts';
import { CorruptError, type Finding, UnsupportedError } from '../../../src/errors.ts';
import { checkMetas, encodeMetaPage, type Meta, readMetas } from '../../../src/format/bolt/meta.ts';
import { boltFile, readBolt } from '../../support/bolt-spec.ts';
import { u16At, u32At, u64At, xorAt } from '../../support/damage.ts';
import { readFixture } from '../../support/fixtures.ts';
import { damage, type Edit } from '../../support/mutate.ts';

const PAGE_SIZES = [1024, 2048, 4096, 8192, 16384, 32768, 65536];
const PAGES = { 2: { leaf: [] } } as const;

const file = (pageSize: number, metas: [Partial<Meta>, Partial<Meta>] = [{}, {}]): Uint8Array =>
  boltFile({ pageSize, root: 2, pages: PAGES, txid: 8n, metas });

const broken = (bytes: Uint8Array, ...patches: Edit['patches']): MemorySource =>
  new MemorySource(damage(bytes, { what: '', patches }));

function problems(bytes: Uint8Array): Array<Pick<Finding, 'code'> & { offset: number | undefined }> {
  const source = new MemorySource(bytes);
  const findings: Finding[] = [];
  checkMetas(source, readMetas(source), (finding) => findings.push(finding));
  return findings.map(({ code, where }) => ({ code, offset: where.offset }));
}

for (const pageSize of PAGE_SIZES) {
  test(`page size ${pageSize}: either meta will do, the newer one is live`, () => {
    const sound = file(pageSize);
    const live = (...patches: Edit['patches']): [number, bigint, number] => {
      const { live, pageSize: detected } = readMetas(broken(sound, ...patches));
      return [live.page, live.txid, detected];
    };
    assert.deepEqual(live(), [1, 8n, pageSize]);
    assert.deepEqual(live(xorAt(sound, pageSize + 40, 1)), [0, 7n, pageSize]);
    assert.deepEqual(live(xorAt(sound, 40, 1)), [1, 8n, pageSize]);
    // Page 0 is gone: the page size comes from finding meta 1.
    assert.deepEqual(live({ offset: 0, bytes: new Uint8Array(pageSize) }), [1, 8n, pageSize]);
    assert.throws(() => live(xorAt(sound, 40, 1), xorAt(sound, pageSize + 40, 1)), {
      code: 'bolt.meta.none',
    });

    const swapped = file(pageSize, [{ txid: 9n }, { txid: 8n }]);
    assert.equal(readMetas(new MemorySource(swapped)).live.page, 0);
    assert.equal(readMetas(broken(swapped, xorAt(swapped, 60, 0x80))).live.page, 1);
  });
}

test('a meta with a higher transaction id that is not valid does not count', () => {
  const source = broken(file(4096), u64At(16 + 48, 99));
  const { live, slots } = readMetas(source);
  assert.equal(live.txid, 8n);
  assert.ok(!slots[0].meta);
  assert.equal(slots[0].problem.code, 'bolt.meta.checksum');
  assert.equal(slots[0].problem.offset, 16 + 56);
  assert.match(
    slots[0].problem.message,
    /^meta page 0: checksum is 0x[\da-f]+, but its contents hash to 0x[\da-f]+$/,
  );
});

test('what is wrong with a meta page is told apart', () => {
  const sound = file(1024);
  assert.deepEqual(problems(sound), []);
  for (const [patch, code, offset] of [
    [u32At(1024 + 16, 1), 'bolt.meta.invalid', 1040],
    [u32At(1024 + 20, 3), 'bolt.meta.version', 1044],
    [u64At(1024 + 72, 0), 'bolt.meta.checksum', 1096],
    [u64At(1024, 0), 'bolt.page.id', 1024],
    [u16At(1024 + 8, 2), 'bolt.page.flags', 1032],
    [u16At(1024 + 10, 1), 'bolt.page.element', 1034],
    [u32At(1024 + 12, 1), 'bolt.page.element', 1034],
  ] as const) {
    assert.deepEqual(problems(damage(sound, { what: '', patches: [patch] })), [{ code, offset }]);
  }
});

test('a meta that is sealed, but impossible', () => {
  for (const [meta, code] of [
    [{ pageSize: 1000 }, 'bolt.page-size'],
    [{ pageSize: 512 }, 'bolt.page-size'],
    [{ pageSize: 1 << 17 }, 'bolt.page-size'],
    [{ pageLimit: 2 }, 'bolt.meta.field'],
    [{ pageLimit: 2 ** 52 }, 'bolt.meta.field'],
    [{ root: 1 }, 'bolt.meta.field'],
    [{ root: 3 }, 'bolt.meta.field'],
    [{ freelist: 1 }, 'bolt.meta.field'],
    [{ freelist: 3 }, 'bolt.meta.field'],
  ] as const) {
    const bytes = file(1024);
    const page = encodeMetaPage({
      page: 1,
      pageSize: 1024,
      root: 2,
      sequence: 0n,
      freelist: undefined,
      pageLimit: 3,
      txid: 8n,
      ...meta,
    });
    bytes.set(page.subarray(0, 80), 1024);
    const { live, slots } = readMetas(new MemorySource(bytes));
    assert.equal(live.page, 0);
    assert.equal(!slots[1].meta && slots[1].problem.code, code, JSON.stringify(meta));
  }
  // Alone, it makes the file one that cannot be opened, whatever its page size says.
  const alone = file(1024, [{ root: 1 }, { root: 1 }]);
  assert.throws(() => readMetas(new MemorySource(alone)), { code: 'bolt.meta.none' });
});

test('metas that name different page sizes', () => {
  const bytes = file(1024);
  const other = encodeMetaPage({
    page: 1,
    pageSize: 2048,
    root: 2,
    sequence: 0n,
    freelist: undefined,
    pageLimit: 3,
    txid: 6n,
  });
  bytes.set(other.subarray(0, 80), 1024);
  assert.deepEqual(problems(bytes), [{ code: 'bolt.page-size', offset: 1024 + 16 + 8 }]);
});

test('the error of meta 0 is that of the file', () => {
  for (const [patches, upstream] of [
    [[u32At(16, 1), u32At(4096 + 20, 3)], 'invalid database'],
    [[u32At(20, 3), u32At(4096 + 16, 1)], 'version mismatch'],
    [[u64At(40, 1), u32At(4096 + 20, 3)], 'checksum error'],
  ] as const) {
    const source = broken(file(4096), ...patches);
    assert.throws(
      () => readMetas(source),
      (error) =>
        error instanceof CorruptError && error.code === 'bolt.meta.none' && error.upstream === upstream,
    );
  }
});

test('files too short for their metas', () => {
  const sound = file(4096);
  for (const size of [0, 1, 79, 80, 4096, 4096 + 79, 4096 + 80]) {
    const source = new MemorySource(sound.subarray(0, size));
    if (size < 80)
      assert.throws(() => readMetas(source), { code: 'bolt.meta.none', upstream: 'invalid database' });
    else assert.equal(readMetas(source).live.page, size < 4096 + 80 ? 0 : 1);
  }
  const { slots } = readMetas(new MemorySource(sound.subarray(0, 4096)));
  assert.ok(!slots[1].meta);
  assert.equal(slots[1].problem.code, 'bytes.truncated');
});

test('a big-endian file is told from a damaged one', () => {
  const bytes = file(4096);
  for (const page of [0, 4096]) {
    // Every field of the meta, in the other order.
    for (const [at, size] of [
      [16, 4],
      [20, 4],
      [24, 4],
      [28, 4],
      [32, 8],
      [40, 8],
      [48, 8],
      [56, 8],
      [64, 8],
      [72, 8],
    ] as const) {
      bytes.subarray(page + at, page + at + size).reverse();
    }
  }
  assert.throws(
    () => readMetas(new MemorySource(bytes)),
    (error) => error instanceof UnsupportedError && error.code === 'bolt.big-endian',
  );
});

test('the metas of an initial file, and one encoded again', () => {
  for (const name of ['init.db', 'init-nofl.db']) {
    const bytes = readFixture(`bbolt/${name}`);
    const { slots, live } = readMetas(new MemorySource(bytes));
    const meta = { pageSize: 4096, root: 3, sequence: 0n, freelist: 2, pageLimit: 4 };
    assert.deepEqual(
      slots.map((slot) => slot.meta),
      [0, 1].map((page) => ({ page, ...meta, txid: BigInt(page) })),
    );
    assert.deepEqual(Buffer.from(encodeMetaPage(live)), bytes.subarray(4096, 8192));
  }
});

test('with equal transaction ids meta 0 is live', () => {
  assert.equal(readMetas(new MemorySource(file(1024, [{ txid: 4n }, { txid: 4n }]))).live.page, 0);
  assert.deepEqual(readBolt(new MemorySource(file(1024, [{ txid: 4n }, { txid: 4n }]))).findings, []);
});
