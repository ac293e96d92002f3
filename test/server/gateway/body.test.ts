import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { Message } from '../../../src/format/proto/field.ts';
import { rangeRequest } from '../../../src/format/proto/rpcpb.ts';
import { RpcError, STATUS } from '../../../src/rpc/status.ts';
import { JsonInbox, readMessage } from '../../../src/server/gateway/body.ts';
import { DEFAULT_LIMITS } from '../../../src/rpc/limits.ts';
import type { HttpRequest } from '../../../src/server/monitor/http-exchange.ts';

const OPTIONS = { request: rangeRequest as Message<unknown>, messageSizeMax: 100 };

function makeBody(): HttpRequest & PassThrough {
  const socket = { remoteAddress: undefined, remotePort: undefined };
  const headers = { 'transfer-encoding': 'chunked' };
  return Object.assign(new PassThrough(), { headers, rawHeaders: [], socket });
}

/** With what it is told. */
function accounted(body: HttpRequest) {
  const told = { held: [] as number[], tooLong: 0, isHeldUp: false };
  body.account = {
    hold: (sizeBytes) => void told.held.push(sizeBytes),
    noteTooLong: () => void told.tooLong++,
    get isHeldUp() {
      return told.isHeldUp;
    },
  };
  return told;
}

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

const limitOf = (message: Uint8Array | undefined): bigint | undefined =>
  message && rangeRequest.decode(message).limit;

test('the first value counts, an empty body is an empty message', async () => {
  const body = makeBody();
  const read = readMessage(body, OPTIONS);
  body.write('{"lim');
  body.end('it":7} and more');
  assert.equal(limitOf(await read), 7n);
  const empty = makeBody();
  const nothing = readMessage(empty, OPTIONS);
  empty.end(' \n');
  assert.equal((await nothing).length, 0);
});

test('what is wrong is told when all has come, so that the client listens', async () => {
  const body = makeBody();
  let isTold = false;
  const read = readMessage(body, OPTIONS).catch((error: unknown) => {
    isTold = true;
    return error;
  });
  body.write('{x');
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  assert.equal(isTold, false);
  body.end();
  const error = await read;
  assert.ok(error instanceof RpcError);
  assert.equal(error.status, STATUS.invalidArgument);
});

test('a body that does not come in time ends', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const body = makeBody();
  const read = readMessage(body, OPTIONS);
  body.write('{');
  t.mock.timers.tick(DEFAULT_LIMITS.requestTimeoutMs);
  await assert.rejects(read, { status: STATUS.deadlineExceeded });
  t.mock.timers.tick(1000);
  assert.equal(body.destroyed, true);
});

test('messages as they come; JSON that is none ends them', async () => {
  const body = makeBody();
  const inbox = new JsonInbox(body, OPTIONS);
  const first = inbox.receive();
  body.write('{"limit":1}{"limit":2} oops');
  assert.equal(limitOf(await first), 1n);
  assert.equal(limitOf(await inbox.receive()), 2n);
  assert.equal(await inbox.receive(), undefined);
  assert.equal(await inbox.receive(), undefined);
});

test('a message that is too long fails whoever receives', async () => {
  const body = makeBody();
  const inbox = new JsonInbox(body, OPTIONS);
  body.write(JSON.stringify({ key: 'A'.repeat(200) }));
  await assert.rejects(inbox.receive(), { status: STATUS.resourceExhausted });
});

test('a call that is over tells whoever receives, and reads the rest away', async () => {
  const body = makeBody();
  const inbox = new JsonInbox(body, OPTIONS);
  const waiting = inbox.receive();
  const gone = new RpcError(STATUS.cancelled, 'gone');
  inbox.fail(gone);
  await assert.rejects(waiting, gone);
  await assert.rejects(inbox.receive(), gone);
  for (let i = 0; i < 1000; i++) body.write('{}'.repeat(100));
  assert.equal(body.isPaused(), false);
});

test('what is kept of a body is told as it comes, and that nothing is when it is complete', async () => {
  const body = makeBody();
  const told = accounted(body);
  const read = readMessage(body, OPTIONS);
  body.write('{"limit"');
  await turn();
  body.write(':7} and');
  await turn();
  body.write(' more');
  body.end();
  await read;
  assert.deepEqual(told.held.slice(0, 4), [8, 11, 11, 0]);
  assert.equal(told.tooLong, 0);
});

test('what is no JSON, too long or late is not kept', async (t) => {
  const broken = makeBody();
  const toldOfBroken = accounted(broken);
  const refused = readMessage(broken, OPTIONS).catch(() => {});
  broken.write('{x');
  await turn();
  assert.deepEqual(toldOfBroken.held, [0]);
  broken.end();
  await refused;
  const long = makeBody();
  const toldOfLong = accounted(long);
  const read = readMessage(long, OPTIONS).catch(() => {});
  long.write('x'.repeat(10).padStart(500, ' '));
  long.end(`{"key":"${'A'.repeat(400)}`);
  await read;
  assert.equal(toldOfLong.held.at(-1), 0);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const late = makeBody();
  const toldOfLate = accounted(late);
  const waiting = readMessage(late, OPTIONS).catch(() => {});
  late.write('{');
  await turn();
  t.mock.timers.tick(DEFAULT_LIMITS.requestTimeoutMs);
  await waiting;
  assert.deepEqual(toldOfLate.held, [1, 0]);
});

test('messages and bodies that are too long are told once each', async () => {
  for (const text of [JSON.stringify({ key: 'A'.repeat(200) }), `{"key":"${'A'.repeat(1000)}`]) {
    const body = makeBody();
    const told = accounted(body);
    const read = readMessage(body, OPTIONS);
    body.end(text);
    await assert.rejects(read, { status: STATUS.resourceExhausted });
    assert.equal(told.tooLong, 1);
    const stream = makeBody();
    const toldOfStream = accounted(stream);
    const inbox = new JsonInbox(stream, OPTIONS);
    stream.write(text);
    await assert.rejects(inbox.receive(), { status: STATUS.resourceExhausted });
    assert.equal(toldOfStream.tooLong, 1);
  }
});

test('a stream tells what waits to be received, and goes on only when it may', async () => {
  const body = makeBody();
  const told = accounted(body);
  const inbox = new JsonInbox(body, OPTIONS);
  body.write('{"limit":1}{"lim');
  await turn();
  assert.deepEqual(told.held, [16]);
  await inbox.receive();
  assert.equal(told.held.at(-1), 5);
  told.isHeldUp = true;
  body.pause();
  const second = inbox.receive();
  await turn();
  assert.equal(body.isPaused(), true);
  told.isHeldUp = false;
  body.resume();
  body.write('it":2}');
  assert.equal(limitOf(await second), 2n);
  body.write('{"key":"');
  await turn();
  inbox.fail(new RpcError(STATUS.cancelled, 'over'));
  assert.equal(told.held.at(-1), 0);
  body.write('A'.repeat(100_000));
  await turn();
  assert.equal(told.held.at(-1), 0);
  assert.equal(body.isPaused(), false);
});
