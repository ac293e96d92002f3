import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Pacer } from '../../../src/bytes/pacer.ts';
import { MemorySource } from '../../../src/bytes/source.ts';
import type { BackendView } from '../../../src/store/backend/backend.ts';
import { BoltView } from '../../../src/store/backend/bolt-view.ts';
import { Overlay } from '../../../src/store/backend/overlay.ts';
import { rewriteDatabase } from '../../../src/store/rewrite.ts';
import { latin1, readBolt } from '../../support/bolt-spec.ts';
import { buildDatabase, openBytes, type Pair, text } from '../database-builder.ts';

type Rows = Map<string, string>;
type Row = [key: string, value: string];

/** The last one is not in the base. */
const NAMES = ['auth', 'lease', 'new'] as const;

interface Base {
  auth: Rows;
  lease: Rows;
}

const pairsOf = (rows: Rows): Pair[] => [...rows].map(([key, value]) => [text(key), text(value)]);

function databaseOf({ auth, lease }: Base): Uint8Array {
  return buildDatabase({ buckets: { auth: pairsOf(auth), lease: pairsOf(lease) }, pageSize: 1024 });
}

function scan(
  view: BackendView,
  bucket: string,
  [from, to]: readonly [from?: string, to?: string] = [],
): Row[] {
  const range = {
    from: from === undefined ? undefined : text(from),
    to: to === undefined ? undefined : text(to),
  };
  return [...view.scan(bucket, range)].map(({ key, value }) => [latin1(key), latin1(value)]);
}

function expected(rows: Rows, [from, to]: readonly [from?: string, to?: string] = []): Row[] {
  return [...rows]
    .filter(([key]) => (from === undefined || key >= from) && (to === undefined || key < to))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

async function rewritten(content: Uint8Array, overlay: Overlay): Promise<Map<string, Rows>> {
  const parts: Array<{ at: number; bytes: Uint8Array }> = [];
  const output = { write: (bytes: Uint8Array, at: number) => void parts.push({ at, bytes: bytes.slice() }) };
  const options = { pacer: new Pacer(), edits: overlay.edits() };
  const { sizeBytes } = await rewriteDatabase(openBytes(content), output, options);
  const file = new Uint8Array(sizeBytes);
  for (const { at, bytes } of parts) file.set(bytes, at);
  const { buckets, findings } = readBolt(new MemorySource(file));
  assert.deepEqual(findings, []);
  return new Map([...buckets].map(([name, { pairs }]) => [name, pairs]));
}

const key = fc
  .array(fc.constantFrom('\0', 'a', 'b', '\x7f', '\x80', '\xff'), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join(''));
const value = fc.string({ unit: fc.constantFrom('x', '\0', '\xff'), maxLength: 60 });
const rows: fc.Arbitrary<Rows> = fc.array(fc.tuple(key, value), { maxLength: 60 }).map((all) => new Map(all));
const base: fc.Arbitrary<Base> = fc.record({ auth: rows, lease: rows });
const optionalKey = fc.option(key, { nil: undefined });

const bucket = fc.constantFrom(...NAMES);
type Step =
  | { kind: 'put'; bucket: string; key: string; value: string }
  | { kind: 'delete'; bucket: string; key: string }
  | { kind: 'get'; bucket: string; key: string }
  | { kind: 'scan'; bucket: string; range: [from?: string, to?: string] };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('put' as const), bucket, key, value }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), bucket, key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('get' as const), bucket, key }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('scan' as const),
      bucket,
      range: fc.tuple(optionalKey, optionalKey) as fc.Arbitrary<[string?, string?]>,
    }),
  },
);

test('any changes leave what plain maps hold, in memory and in the file they are written to', async () => {
  await fc.assert(
    fc.asyncProperty(base, fc.array(step, { maxLength: 60 }), async (content, steps) => {
      const file = databaseOf(content);
      const overlay = new Overlay(new BoltView(new MemorySource(file)));
      const model = new Map<string, Rows>([
        ['auth', new Map(content.auth)],
        ['lease', new Map(content.lease)],
        ['new', new Map()],
      ]);
      for (const one of steps) {
        const expectedRows = model.get(one.bucket)!;
        if (one.kind === 'put') {
          overlay.put(one.bucket, text(one.key), text(one.value));
          expectedRows.set(one.key, one.value);
        } else if (one.kind === 'delete') {
          overlay.delete(one.bucket, text(one.key));
          expectedRows.delete(one.key);
        } else if (one.kind === 'get') {
          const found = overlay.get(one.bucket, text(one.key));
          assert.equal(found && latin1(found), expectedRows.get(one.key));
        } else assert.deepEqual(scan(overlay, one.bucket, one.range), expected(expectedRows, one.range));
      }
      for (const [name, all] of model) assert.deepEqual(scan(overlay, name), expected(all), name);

      const written = await rewritten(file, overlay);
      for (const [name, all] of model) assert.deepEqual(written.get(name) ?? new Map(), all, name);
      assert.deepEqual(scan({ get: () => undefined, scan: overlay.scan.bind(overlay) }, 'cluster'), [
        ['clusterVersion', '3.6.0'],
      ]);
    }),
    { numRuns: 250 },
  );
});

describe('an overlay', () => {
  const content: Base = {
    auth: new Map([
      ['b', '1'],
      ['d', '2'],
      ['f', '3'],
    ]),
    lease: new Map(),
  };
  const open = (): Overlay => new Overlay(new BoltView(new MemorySource(databaseOf(content))));

  test('that nothing was changed in has no edits', async () => {
    const overlay = open();
    scan(overlay, 'auth');
    assert.equal(overlay.edits().size, 0);
    assert.deepEqual((await rewritten(databaseOf(content), overlay)).get('auth'), content.auth);
  });

  test('leaves its base as it was', () => {
    const view = new BoltView(new MemorySource(databaseOf(content)));
    const overlay = new Overlay(view);
    overlay.put('auth', text('a'), text('0'));
    overlay.delete('auth', text('b'));
    assert.deepEqual(scan(view, 'auth'), expected(content.auth));
  });

  const changes: Array<[what: string, change: (overlay: Overlay) => void, rows: string]> = [
    ['a row before the first', (overlay) => overlay.put('auth', text('a'), text('x')), 'ax b1 d2 f3'],
    ['a row between two', (overlay) => overlay.put('auth', text('c'), text('x')), 'b1 cx d2 f3'],
    ['a row behind the last', (overlay) => overlay.put('auth', text('g'), text('x')), 'b1 d2 f3 gx'],
    ['another value', (overlay) => overlay.put('auth', text('d'), text('x')), 'b1 dx f3'],
    ['an empty value', (overlay) => overlay.put('auth', text('d'), text('')), 'b1 d f3'],
    ['the first row deleted', (overlay) => overlay.delete('auth', text('b')), 'd2 f3'],
    ['the last row deleted', (overlay) => overlay.delete('auth', text('f')), 'b1 d2'],
    ['a row deleted that was never there', (overlay) => overlay.delete('auth', text('e')), 'b1 d2 f3'],
  ];
  for (const [what, change, all] of changes) {
    test(`with ${what}, also when it was scanned before`, () => {
      const overlay = open();
      scan(overlay, 'auth');
      overlay.put('auth', text('c'), text('gone'));
      overlay.delete('auth', text('c'));
      scan(overlay, 'auth');
      change(overlay);
      assert.equal(
        scan(overlay, 'auth')
          .map((row) => row.join(''))
          .join(' '),
        all,
      );
    });
  }

  test('keeps a row that was put, deleted and put again', () => {
    const overlay = open();
    overlay.delete('auth', text('d'));
    assert.equal(overlay.get('auth', text('d')), undefined);
    overlay.put('auth', text('d'), text('again'));
    assert.equal(latin1(overlay.get('auth', text('d'))!), 'again');
    assert.deepEqual(scan(overlay, 'auth', ['c', 'e']), [['d', 'again']]);
  });

  test('answers while it is scanned', () => {
    const overlay = open();
    overlay.put('auth', text('c'), text('x'));
    const seen: string[] = [];
    for (const { key: at } of overlay.scan('auth')) {
      seen.push(latin1(at) + latin1(overlay.get('auth', at)!));
      assert.equal(overlay.get('lease', at), undefined);
    }
    assert.deepEqual(seen, ['b1', 'cx', 'd2', 'f3']);
  });
});
