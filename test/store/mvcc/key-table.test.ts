import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyTable, RECORD_START } from '../../../src/store/mvcc/key-table.ts';
import { Random } from '../../support/mutate.ts';

const WORDS = 6;
const COUNT = RECORD_START;
/** The same memory as words 4 and 5. */
const SUM = 2;

test('keeps one record for each key, like a Map', () => {
  const random = new Random(1);
  const table = new KeyTable(WORDS);
  const expected = new Map<string, { count: number; sum: number }>();
  const buffer = Buffer.alloc(64, 0x2f);
  for (let i = 0; i < 300_000; i++) {
    // 200 000 new keys first, then old ones again.
    const name = String(i < 200_000 ? i : random.below(200_000));
    const start = random.below(20);
    const end = start + buffer.write(name, start, 'latin1');
    table.find(buffer, start, end);
    const known = expected.get(name);
    assert.equal(table.isNew, known === undefined);
    const at = table.at >>> 1;
    if (!known) assert.deepEqual([table.words[table.at + COUNT], table.floats[at + SUM]], [0, 0]);
    table.words[table.at + COUNT]!++;
    table.floats[at + SUM]! += i;
    expected.set(name, { count: (known?.count ?? 0) + 1, sum: (known?.sum ?? 0) + i });
    buffer.fill(0x2f, start, end);
  }

  assert.equal(table.size, 200_000);
  const names = [...expected.values()];
  let visited = 0;
  table.forEach(() => {
    const { count, sum } = names[visited++]!;
    assert.equal(table.words[table.at + COUNT], count);
    assert.equal(table.floats[(table.at >>> 1) + SUM], sum);
  });
  assert.equal(visited, 200_000);
});

test('tells similar keys apart, the empty one too', () => {
  const keys = ['', '\0', '\0\0', 'a', 'a\0', '\0a', 'aa', 'ab', 'ba', 'key-1', 'key-10', 'key-01'];
  const table = new KeyTable(4);
  for (const [i, key] of keys.entries()) {
    const bytes = Buffer.from(key);
    table.find(bytes, 0, bytes.length);
    assert.ok(table.isNew, JSON.stringify(key));
    table.words[table.at + RECORD_START] = i;
  }
  for (const [i, key] of keys.entries()) {
    const bytes = Buffer.from(`[${key}]`);
    table.find(bytes, 1, bytes.length - 1);
    assert.equal(table.isNew, false);
    assert.equal(table.words[table.at + RECORD_START], i);
  }
  assert.equal(table.size, keys.length);
});

test('two tables hash differently, so that no file can be made to collide in all of them', () => {
  const key = Buffer.from('key');
  const hashes = Array.from({ length: 4 }, () => {
    const table = new KeyTable(4);
    table.find(key, 0, key.length);
    return table.words[table.at];
  });
  assert.ok(new Set(hashes).size > 1);
});
