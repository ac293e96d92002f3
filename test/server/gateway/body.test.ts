import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { Message } from '../../../src/format/proto/field.ts';
import { rangeRequest } from '../../../src/format/proto/rpcpb.ts';
import { RpcError, STATUS } from '../../../src/rpc/status.ts';
import { JsonInbox, readMessage } from '../../../src/server/gateway/body.ts';
import { BODY_TIMEOUT_MS, type HttpRequest } from '../../../src/server/monitor/http-exchange.ts';

const OPTIONS = { request: rangeRequest as Message<unknown>, messageSizeMax: 100 };

function makeBody(): HttpRequest & PassThrough {
  const socket = { remoteAddress: undefined, remotePort: undefined };
  const headers = { 'transfer-encoding': 'chunked' };
  return Object.assign(new PassThrough(), { headers, rawHeaders: [], socket });
}

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
  t.mock.timers.tick(BODY_TIMEOUT_MS);
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
