import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { snapshotRequest, snapshotResponse } from '../../../src/format/proto/maintenance-service.ts';
import { snapshotHandler } from '../../../src/server/services/snapshot.ts';
import { put } from '../../store/apply/state-machine.ts';
import { FakeCall } from '../fake-call.ts';
import { MemoryCore } from '../memory-core.ts';

async function filled(): Promise<MemoryCore> {
  const core = new MemoryCore();
  for (let i = 0; i < 40; i++) await core.propose(put(`key-${i}`, 'v'.repeat(4000)));
  return core;
}

function start(core: MemoryCore, { room = Infinity, isVersionSent = true } = {}) {
  const call = new FakeCall();
  call.room = room;
  call.push(snapshotRequest.encode({}));
  const ended = snapshotHandler(core, { isVersionSent })(call);
  return { call, ended };
}

const answersOf = (call: FakeCall) => call.sent.map((bytes) => snapshotResponse.decode(bytes));

test('the database comes in pieces of 32 KiB, then its SHA-256', async () => {
  const core = await filled();
  const file = Buffer.from(core.backend.file());
  const { call, ended } = start(core);
  await ended;
  const answers = answersOf(call);
  const digest = answers.pop()!;
  assert.ok(answers.length > 4);
  for (const { blob } of answers.slice(0, -1)) assert.equal(blob.length, 32_768);
  assert.deepEqual(Buffer.concat(answers.map(({ blob }) => blob)), file);
  assert.deepEqual(Buffer.from(digest.blob), createHash('sha256').update(file).digest());
  let left = file.length;
  for (const { blob, remainingBytes, version, header } of answers) {
    left -= blob.length;
    assert.deepEqual([remainingBytes, version, header], [left, '3.6.0', undefined]);
  }
  assert.deepEqual([digest.remainingBytes, digest.version], [0, '3.6.0']);
  assert.equal(core.backend.openViewCount, 0);
  assert.deepEqual(
    core.told.map(([, message]) => message),
    ['sending database snapshot to client', 'successfully sent database snapshot to client'],
  );
});

test('3.5 does not name a version', async () => {
  const { call, ended } = start(new MemoryCore(), { isVersionSent: false });
  await ended;
  assert.equal(answersOf(call)[0]!.version, '');
});

test('what is put while the snapshot is sent is not in it', async () => {
  const core = await filled();
  const file = Buffer.from(core.backend.file());
  const { call, ended } = start(core, { room: 2 });
  await call.sentCount(2);
  await core.propose(put('late'));
  call.take(Infinity);
  await ended;
  const answers = answersOf(call).slice(0, -1);
  assert.deepEqual(Buffer.concat(answers.map(({ blob }) => blob)), file);
});

test('a client that takes nothing is sent nothing more, and one that leaves frees the view', async () => {
  const core = await filled();
  const { call, ended } = start(core, { room: 2 });
  await call.sentCount(2);
  for (let i = 0; i < 20; i++) await nextTurn();
  assert.equal(call.sent.length, 2);
  assert.equal(core.backend.openViewCount, 1);
  call.cancel();
  await ended;
  assert.equal(core.backend.openViewCount, 0);
  assert.deepEqual(core.told.at(-1), ['warn', 'the client gave up a database snapshot']);
});
