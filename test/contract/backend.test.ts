/**
 * What every backend does: rows in byte order over any mix of puts, deletes and look-ups, held against sorted maps.
 * One that is durable is also committed, viewed, rewritten and opened again in between, and its file is checked.
 */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import { MemorySource, readAt } from '../../src/bytes/source.ts';
import type { Backend, DurableView } from '../../src/store/backend/backend.ts';
import { BoltBackend, type BoltOptions } from '../../src/store/backend/bolt.ts';
import { BoltView } from '../../src/store/backend/bolt-view.ts';
import { Overlay } from '../../src/store/backend/overlay.ts';
import { buildDatabase, text } from '../store/database-builder.ts';
import { type Content, contentOfFile, contentOfSource, copyOf } from '../support/database-content.ts';
import { hastyDisk } from '../support/faulty-disk.ts';
import { scratch } from '../support/scratch.ts';

/** The last one is none of etcd's, and is not there before it is put to. */
const BUCKETS = ['auth', 'key', 'lease', 'other'] as const;

const key = fc
  .array(fc.constantFrom('\0', 'a', 'b', '\x7f', '\x80', '\xff'), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join(''));
const value = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.string({ unit: fc.constantFrom('x', '\0', '\xff'), maxLength: 80, size: 'max' }),
  },
  { weight: 1, arbitrary: fc.constantFrom(1500, 5000).map((size) => 'long'.repeat(size)) },
);
const bucket = fc.constantFrom(...BUCKETS);
const optionalKey = fc.option(key, { nil: undefined });

const EMPTY = buildDatabase({ buckets: { meta: [], cluster: [], members: [] }, pageSize: 1024 });

type Step =
  | { kind: 'put'; bucket: string; rows: ReadonlyArray<readonly [key: string, value: string]> }
  | { kind: 'delete'; bucket: string; keys: readonly string[] }
  | { kind: 'get'; bucket: string; key: string }
  | { kind: 'scan'; bucket: string; from: string | undefined; to: string | undefined; count: number }
  | { kind: 'settle'; how: 'commit' | 'start' | 'view' | 'close view' | 'defrag' | 'reopen' };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      bucket,
      rows: fc.array(fc.tuple(key, value), { minLength: 1, maxLength: 40, size: 'max' }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('delete' as const),
      bucket,
      keys: fc.array(key, { maxLength: 40, size: 'max' }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('get' as const), bucket, key }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('scan' as const),
      bucket,
      from: optionalKey,
      to: optionalKey,
      count: fc.constantFrom(1, 3, Infinity),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      how: fc.constantFrom(
        ...(['commit', 'commit', 'start', 'view', 'close view', 'defrag', 'reopen'] as const),
      ),
    }),
  },
);

/** A backend under test. */
interface Subject {
  readonly backend: Backend;
  /** Does what only a durable one can. */
  settle(how: Extract<Step, { kind: 'settle' }>['how'], content: Content): Promise<void>;
  /** Ends it, and looks at what it left. */
  finish(content: Content): Promise<void>;
}

interface Opened {
  view: DurableView;
  bytes: Uint8Array;
  content: Content;
}

class DurableSubject implements Subject {
  backend: BoltBackend;
  readonly #path: string;
  readonly #options: BoltOptions;
  readonly #views: Opened[] = [];
  #started: Promise<void>[] = [];

  private constructor(path: string, options: BoltOptions, backend: BoltBackend) {
    this.#path = path;
    this.#options = options;
    this.backend = backend;
  }

  /** On a new file, or on one of small pages. */
  static async make(path: string, options: BoltOptions): Promise<DurableSubject> {
    if (!options.isNew) writeFileSync(path, EMPTY);
    const backend = await BoltBackend.open(hastyDisk(), path, options);
    return new DurableSubject(path, options, backend);
  }

  async settle(how: Extract<Step, { kind: 'settle' }>['how'], content: Content): Promise<void> {
    if (how === 'commit') await this.backend.commit();
    else if (how === 'start') this.#started.push(this.backend.commit());
    else if (how === 'defrag') await this.backend.defrag();
    else if (how === 'view') {
      const view = await this.backend.openView();
      assert.deepEqual(contentOfSource(view.source), copyOf(content));
      this.#views.push({
        view,
        bytes: readAt(view.source, 0, view.source.size),
        content: copyOf(content),
      });
    } else if (how === 'close view') this.#closeView();
    else {
      while (this.#views.length > 0) this.#closeView();
      await this.backend.close();
      assert.deepEqual(contentOfFile(this.#path), copyOf(content));
      this.backend = await BoltBackend.open(hastyDisk(), this.#path, { ...this.#options, isNew: false });
    }
  }

  /** It is what it was when it was opened, byte for byte. */
  #closeView(): void {
    const opened = this.#views.shift();
    if (!opened) return;
    const { view, bytes, content } = opened;
    assert.ok(Buffer.from(readAt(view.source, 0, view.source.size)).equals(bytes), 'a view changed');
    assert.deepEqual(contentOfSource(new MemorySource(bytes)), content);
    view.close();
  }

  async finish(content: Content): Promise<void> {
    while (this.#views.length > 0) this.#closeView();
    await this.backend.close();
    await Promise.all(this.#started);
    assert.deepEqual(contentOfFile(this.#path), copyOf(content));
  }
}

class OverlaySubject implements Subject {
  readonly backend = new Overlay(new BoltView(new MemorySource(EMPTY)));
  async settle(): Promise<void> {}
  async finish(): Promise<void> {}
}

const SUBJECTS: Array<[name: string, make: (t: TestContext) => () => Promise<Subject>]> = [
  ['an overlay', () => async () => new OverlaySubject()],
  ['a bolt backend', (t) => durable(t, { isNew: true })],
  ['a bolt backend of small pages, which keeps few in memory', (t) => durable(t, { cacheBytes: 12_000 })],
];

function durable(t: TestContext, options: BoltOptions): () => Promise<Subject> {
  const path = join(scratch(t), 'db');
  return async () => {
    rmSync(path, { force: true });
    return DurableSubject.make(path, options);
  };
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const optional = (name: string | undefined): Uint8Array | undefined =>
  name === undefined ? undefined : text(name);

function expected(
  rows: ReadonlyMap<string, string>,
  from?: string,
  to?: string,
): Array<[key: string, value: string]> {
  return [...rows]
    .filter(([name]) => (from === undefined || name >= from) && (to === undefined || name < to))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function scanned(
  backend: Backend,
  name: string,
  range: { from?: string | undefined; to?: string | undefined } = {},
  count = Infinity,
): Array<[key: string, value: string]> {
  const rows: Array<[string, string]> = [];
  for (const row of backend.scan(name, { from: optional(range.from), to: optional(range.to) })) {
    rows.push([latin1(row.key), latin1(row.value)]);
    if (rows.length === count) break;
  }
  return rows;
}

async function take(subject: Subject, content: Content, one: Step): Promise<void> {
  if (one.kind === 'settle') {
    await subject.settle(one.how, content);
    return;
  }
  const { backend } = subject;
  const rows = content.get(one.bucket) ?? new Map<string, string>();
  content.set(one.bucket, rows);
  if (one.kind === 'put') {
    for (const [name, bytes] of one.rows) {
      backend.put(one.bucket, text(name), text(bytes));
      rows.set(name, bytes);
    }
  } else if (one.kind === 'delete') {
    for (const name of one.keys) {
      backend.delete(one.bucket, text(name));
      rows.delete(name);
    }
  } else if (one.kind === 'get') {
    const found = backend.get(one.bucket, text(one.key));
    assert.equal(found && latin1(found), rows.get(one.key));
  } else {
    const all = expected(rows, one.from, one.to);
    assert.deepEqual(scanned(backend, one.bucket, one, one.count), all.slice(0, one.count));
  }
}

for (const [name, prepare] of SUBJECTS) {
  describe(name, () => {
    test('holds what plain maps hold, whatever is done to it', async (t) => {
      const make = prepare(t);
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }), async (steps) => {
          const subject = await make();
          const content: Content = new Map();
          for (const one of steps) await take(subject, content, one);
          for (const label of BUCKETS) {
            const rows = content.get(label) ?? new Map<string, string>();
            assert.deepEqual(scanned(subject.backend, label), expected(rows), label);
            for (const [key, bytes] of rows)
              assert.equal(latin1(subject.backend.get(label, text(key))!), bytes);
          }
          await subject.finish(content);
        }),
        { numRuns: 25 },
      );
    });

    test('a bucket that nothing was put to has no rows', async (t) => {
      const subject = await prepare(t)();
      assert.equal(subject.backend.get('never', text('k')), undefined);
      assert.deepEqual(scanned(subject.backend, 'never'), []);
      await subject.finish(new Map());
    });

    test('many rows in ascending order, replaced and deleted, in several steps', async (t) => {
      const subject = await prepare(t)();
      const content: Content = new Map();
      const name = (i: number): string => String(i).padStart(6, '0');
      const range = (from: number, to: number): number[] =>
        Array.from({ length: to - from }, (_, i) => from + i);
      for (let round = 0; round < 6; round++) {
        const added = range(2000 * round, 2000 * (round + 1));
        const rows = added.map((i) => [name(i), 'v'.repeat(i % 90)] as const);
        await take(subject, content, { kind: 'put', bucket: 'key', rows });
        const gone = range(0, 1900 * round).filter((i) => i % 3 === round % 3);
        await take(subject, content, { kind: 'delete', bucket: 'key', keys: gone.map(name) });
        await take(subject, content, { kind: 'settle', how: round % 2 === 0 ? 'commit' : 'start' });
        for (const from of [name(0), name(1000 * round), name(1999 * round)]) {
          const part = { kind: 'scan', bucket: 'key', from, to: undefined } as const;
          await take(subject, content, { ...part, count: 100 });
          await take(subject, content, { ...part, count: Infinity });
        }
      }
      await subject.finish(content);
    });
  });
}
