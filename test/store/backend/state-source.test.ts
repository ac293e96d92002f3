import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pacer } from '../../../src/bytes/pacer.ts';
import { MemorySource, openFile, readAt, type Source } from '../../../src/bytes/source.ts';
import { BoltFile } from '../../../src/format/bolt/file.ts';
import type { DurableView } from '../../../src/store/backend/backend.ts';
import { BoltView } from '../../../src/store/backend/bolt-view.ts';
import { readBack } from '../../../src/store/rewrite.ts';
import { latin1, readBolt } from '../../support/bolt-spec.ts';
import { contentOfSource } from '../../support/database-content.ts';
import { text } from '../database-builder.ts';
import { fill, Gate, keysOf, made, name, valueOf } from './bolt-subject.ts';

const all = (source: Source): Buffer => Buffer.from(readAt(source, 0, source.size));
const rowsOf = ({ source }: DurableView): Map<string, string> =>
  contentOfSource(source).get('key') ?? new Map<string, string>();

describe('a view', () => {
  test('is a snapshot of what was put before: two metas with one root, and so many pages', async (t) => {
    const { backend } = await made(t);
    fill(backend, 0, 500);
    const view = await backend.openView();
    assert.equal(backend.pendingCount, 0);
    const { metas, live } = new BoltFile(view.source);
    assert.deepEqual([live.page, metas.slots[1].meta!.txid], [0, live.txid - 1n]);
    assert.deepEqual(metas.slots[1].meta, { ...live, page: 1, txid: live.txid - 1n });
    assert.equal(view.source.size, backend.sizeBytes);
    assert.equal(rowsOf(view).size, 500);
    view.close();
  });

  test('stays as it is, byte for byte, whatever is committed later', async (t) => {
    const { backend } = await made(t);
    fill(backend, 0, 1000);
    await backend.commit();
    for (let i = 0; i < 1000; i += 3) backend.delete('key', text(name(i)));
    const view = await backend.openView();
    const before = all(view.source);
    for (let round = 0; round < 20; round++) {
      fill(backend, 100 * round, 100 * round + 400, String(round % 10).repeat(150));
      for (let i = 7 * round; i < 1000; i += 50) backend.delete('key', text(name(i)));
      await backend.commit();
    }
    assert.ok(all(view.source).equals(before));
    assert.equal(rowsOf(view).size, 666);
    view.close();
  });

  test('stays when an older one is closed, and so is another of the same state', async (t) => {
    const { backend } = await made(t);
    const views: Array<{ view: DurableView; bytes: Buffer }> = [];
    for (let round = 0; round < 6; round++) {
      fill(backend, 0, 600, String(round).repeat(100));
      for (let twice = 0; twice < 2; twice++) {
        const view = await backend.openView();
        views.push({ view, bytes: all(view.source) });
      }
    }
    for (const gone of [0, 4, 0, 7, 2, 1, 0, 2, 3]) {
      views.splice(gone, 1)[0]?.view.close();
      fill(backend, 0, 600, 'later'.repeat(20));
      await backend.commit();
      for (const { view, bytes } of views) assert.ok(all(view.source).equals(bytes));
    }
    for (const { view } of views) view.close();
  });

  test('that is opened while a commit is written shows what was put before it was asked for', async (t) => {
    const gate = new Gate();
    const { backend } = await made(t, gate.disk);
    fill(backend, 0, 10);
    const commit = backend.commit();
    await gate.reached();
    fill(backend, 10, 20);
    const opening = backend.openView();
    await gate.letCommit();
    await commit;
    await gate.letCommit();
    const view = await opening;
    assert.equal(rowsOf(view).size, 20);
    view.close();
  });

  test('keeps its pages only until it is closed', async (t) => {
    const { backend } = await made(t);
    fill(backend, 0, 1000);
    const view = await backend.openView();
    for (let round = 0; round < 5; round++) {
      fill(backend, 0, 1000, String(round).repeat(100));
      await backend.commit();
    }
    const { sizeBytes, inUseBytes } = backend;
    assert.ok(inUseBytes < sizeBytes / 2, `${inUseBytes} of ${sizeBytes}`);
    view.close();
    view.close();
    for (let round = 0; round < 5; round++) {
      fill(backend, 0, 1000, String(round).repeat(100));
      await backend.commit();
    }
    assert.equal(backend.sizeBytes, sizeBytes);
  });

  test('holds nothing of what was deleted before', async (t) => {
    const { backend } = await made(t);
    fill(backend, 0, 300, 'secret'.repeat(30));
    await backend.commit();
    for (let i = 0; i < 300; i++) backend.delete('key', text(name(i)));
    await backend.commit();
    fill(backend, 0, 5);
    const view = await backend.openView();
    const bytes = all(view.source);
    assert.equal(bytes.includes('secretsecret'), false);
    assert.ok(bytes.length > 50_000);
    view.close();
  });

  test('reads in pieces as it reads in one', async (t) => {
    const { backend } = await made(t);
    fill(backend, 0, 300);
    await backend.commit();
    fill(backend, 50, 100, 'x');
    const { source, close } = await backend.openView();
    const whole = all(source);
    for (const size of [1, 100, 511, 4096, 5000, 32768]) {
      const pieces: Uint8Array[] = [];
      const step = Math.max(size, 100);
      for (let at = 0; at < source.size; at += step) {
        const piece = new Uint8Array(Math.min(step, source.size - at));
        source.readInto(at, piece);
        pieces.push(piece);
      }
      assert.ok(Buffer.concat(pieces).equals(whole), `pieces of ${step}`);
    }
    for (const [offset, size] of [
      [-1, 1],
      [source.size, 1],
      [source.size - 10, 11],
    ] as const)
      assert.throws(() => source.readInto(offset, new Uint8Array(size)), { code: 'io.short-read' });
    close();
  });

  test('goes through everything that reads a backup', async (t) => {
    const { backend } = await made(t);
    fill(backend, 0, 2000);
    const view = await backend.openView();
    const { recordCount, hash } = await readBack(view.source, new Pacer());
    assert.equal(recordCount, 2000);
    const copy = new MemorySource(all(view.source));
    assert.deepEqual(await readBack(copy, new Pacer()), { recordCount, hash });
    assert.deepEqual(readBolt(view.source).findings, []);
    const mounted = new BoltView(view.source);
    assert.equal(latin1(mounted.get('key', text(name(1234)))!), 'v'.repeat(100));
    view.close();
  });

  test('outlives a rewrite of the file, and the backend', async (t) => {
    const { backend, path } = await made(t);
    fill(backend, 0, 1000);
    const view = await backend.openView();
    const before = all(view.source);
    for (let i = 0; i < 900; i++) backend.delete('key', text(name(i)));
    await backend.defrag();
    assert.equal(keysOf(backend, 'key').length, 100);
    assert.equal(valueOf(backend, 'key', name(950)), 'v'.repeat(100));
    assert.ok(all(view.source).equals(before));
    await backend.close();
    assert.ok(all(view.source).equals(before));
    view.close();
    assert.equal(contentOfSource(openFile(path)).get('key')!.size, 100);
  });
});
