import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Indexed, KeyIndex } from '../../../src/store/mvcc/key-index.ts';
import { leaseWords } from '../../../src/store/mvcc/key-value.ts';
import { text } from '../database-builder.ts';

const nameOf = (number: number): string => `k${String(number).padStart(5, '0')}`;

interface Revision {
  main: number;
  sub: number;
  isTombstone: boolean;
  lease: bigint;
}

/** What the index is held against: all revisions of each key, oldest first. */
class Model {
  readonly index = new KeyIndex();
  readonly keys = new Map<string, Revision[]>();
  dropped: string[] = [];
  main = 1;

  put(name: string, { sub = 0, isTombstone = false, lease = 0n, isSame = false } = {}): void {
    const main = isSame ? this.main : ++this.main;
    const record: Indexed = {
      ...{ main, sub, isTombstone, ...leaseWords(lease) },
      createRevision: isTombstone ? 0 : main + 2 ** 40,
      version: isTombstone ? 0 : main + 7,
    };
    this.index.add(record, text(name));
    this.keys.set(name, [...(this.keys.get(name) ?? []), { main, sub, isTombstone, lease }]);
  }

  compact(revision: number): void {
    const sink = {
      add: (main: number, sub: number, isTombstone: boolean) =>
        void this.dropped.push(`${main}.${sub}${isTombstone ? 't' : ''}`),
    };
    for (let id = 0; id < this.index.idCount; id++) this.index.compact(id, revision, sink);
    const expected: string[] = [];
    for (const [name, revisions] of this.keys) {
      const newest = revisions.findLast(({ main }) => main <= revision);
      const isDropped = (one: Revision): boolean =>
        one.main <= revision && (one !== newest || (one.isTombstone && one.main < revision));
      for (const one of revisions.filter(isDropped))
        expected.push(`${one.main}.${one.sub}${one.isTombstone ? 't' : ''}`);
      const kept = revisions.filter((one) => !isDropped(one));
      if (kept.length === 0) this.keys.delete(name);
      else this.keys.set(name, kept);
    }
    assert.deepEqual(this.dropped.splice(0).sort(), expected.sort());
  }

  assertHolds(): void {
    const { index } = this;
    const names = [...this.keys.keys()].sort();
    assert.deepEqual(this.visited(''), names);
    const revisions = [...this.keys.values()];
    assert.deepEqual(
      [index.size, index.revisionCount, index.deadCount],
      [names.length, revisions.flat().length, revisions.filter((all) => all.at(-1)!.isTombstone).length],
    );
    for (const [name, all] of this.keys) this.#assertKey(name, all);
    const live = names.filter((name) => !this.keys.get(name)!.at(-1)!.isTombstone);
    const middle = names[names.length >> 1] ?? '';
    assert.deepEqual(
      [index.liveCountIn(text(''), undefined), index.liveCountIn(text(middle), text('z'))],
      [live.length, live.filter((name) => name >= middle && name < 'z').length],
    );
  }

  #assertKey(name: string, revisions: Revision[]): void {
    const { index } = this;
    const id = index.find(text(name));
    assert.equal(index.nameOf(id), name);
    const newest = revisions.at(-1)!;
    assert.deepEqual([index.isLive(id), index.leaseOf(id)], [!newest.isTombstone, newest.lease]);
    if (!newest.isTombstone)
      assert.deepEqual(
        [index.createRevisionOf(id), index.versionOf(id)],
        [newest.main + 2 ** 40, newest.main + 7],
      );
    for (const at of [undefined, this.main, ...revisions.flatMap(({ main }) => [main - 1, main])]) {
      const expected = revisions.findLast(({ main }) => main <= (at ?? Infinity));
      const isThere = index.seek(id, at);
      assert.equal(isThere, expected !== undefined && !expected.isTombstone, `${name} at ${at}`);
      if (!isThere) continue;
      assert.deepEqual(
        [index.main, index.sub, index.isNewest],
        [expected!.main, expected!.sub, expected === newest],
      );
    }
  }

  visited(from: string, to?: string): string[] {
    const found: string[] = [];
    this.index.visit(text(from), to === undefined ? undefined : text(to), (id) => {
      found.push(this.index.nameOf(id));
      return true;
    });
    return found;
  }
}

test('a key without a record is not there', () => {
  const { index } = new Model();
  assert.deepEqual([index.find(text('a')), index.size, index.revisionCount], [-1, 0, 0]);
});

test('many keys, with every column of their own, in whatever order they come', () => {
  const model = new Model();
  for (let i = 0; i < 9000; i++) model.put(nameOf((i * 7919) % 9000), { lease: BigInt(i % 3) - 1n });
  model.assertHolds();
});

test('older revisions are found, each at its time', () => {
  const model = new Model();
  for (let round = 0; round < 30; round++)
    for (let i = 0; i < 20; i++) model.put(nameOf(i), { isTombstone: (round + i) % 7 === 6, sub: round });
  model.assertHolds();
});

test('places of keys that are compacted away are used again, and no other key is touched', () => {
  const model = new Model();
  for (let i = 0; i < 2000; i++) model.put(nameOf(i));
  model.index.sort();
  for (let i = 0; i < 2000; i += 2) model.put(nameOf(i), { isTombstone: true });
  model.compact(model.main);
  model.compact(model.main - 500);
  const { idCount } = model.index;
  model.put('x');
  model.compact(model.main);
  for (let i = 0; i < 900; i++) model.put(nameOf(10_000 + i));
  model.assertHolds();
  assert.equal(model.index.idCount, idCount);
});

test('keys of any length, one the beginning of another, in byte order', () => {
  const model = new Model();
  const names = ['', 'a', 'a\0', 'a\0\0', 'abcdef', 'abcdefg', 'abcdef\0', '\xff', '\x80', 'B'];
  for (let i = 0; i < 40; i++) names.push(`${'p'.repeat(i * 5)}${String.fromCharCode(200 - i)}`);
  names.push('q'.repeat(70_000), `${'q'.repeat(70_000)}1`);
  for (const name of names.toReversed()) model.put(name);
  model.assertHolds();
  assert.deepEqual(model.visited('a\0', 'abcdefg'), ['a\0', 'a\0\0', 'abcdef', 'abcdef\0']);
});

test('each live key that has a lease, and no other', () => {
  const model = new Model();
  const leases: Array<[string, bigint]> = [
    ['none', 0n],
    ['one', 1n],
    ['largest', 2n ** 63n - 1n],
    ['negative', -5n],
  ];
  for (const [name, lease] of leases) model.put(name, { lease });
  model.put('moved', { lease: 8n });
  model.put('moved', { lease: 11n });
  model.put('dropped', { lease: 9n });
  model.put('dropped');
  model.put('deleted', { lease: 10n });
  model.put('deleted', { isTombstone: true });
  assert.deepEqual(new Map(model.index.leased()), new Map([...leases.slice(1), ['moved', 11n]]));
});

test('any changes leave what plain lists hold', () => {
  const step = fc.record({
    kind: fc.constantFrom('put', 'put', 'delete', 'compact', 'sort'),
    number: fc.nat(12),
    isSame: fc.boolean(),
    back: fc.nat(6),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const model = new Model();
      let sub = 0;
      let compacted = 0;
      for (const { kind, number, isSame, back } of steps) {
        sub = isSame ? sub + 1 : 0;
        const isJoined = isSame && model.main > Math.max(compacted, 1);
        if (kind === 'put' || kind === 'delete')
          model.put(nameOf(number), { sub, isTombstone: kind === 'delete', isSame: isJoined });
        else if (kind === 'sort') model.index.sort();
        else {
          compacted = Math.max(compacted, model.main - back);
          model.compact(compacted);
        }
      }
      model.assertHolds();
    }),
    { numRuns: 300 },
  );
});
