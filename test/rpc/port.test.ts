import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { serverUnderTest, text, until, words } from './server-under-test.ts';

test('a connection that does not say what it speaks is closed', async (t) => {
  const under = await serverUnderTest({ limits: { handshakeTimeoutMs: 50 } });
  t.after(() => under.end());
  const sockets = ['', 'P', 'PRI * HTTP/2'].map((said) => {
    const socket = connect(under.port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.write(said);
    return socket;
  });
  let closed = 0;
  for (const socket of sockets) socket.on('close', () => closed++);
  for (const socket of sockets) socket.resume();
  await until(() => closed === 3, 'all are closed');
  assert.equal(under.server.stats.refused.handshake, 3);
});

test('a request over HTTP/1.1 whose headers do not end is closed', async (t) => {
  const under = await serverUnderTest({ limits: { handshakeTimeoutMs: 50 } });
  t.after(() => under.end());
  const socket = connect(under.port, '127.0.0.1');
  t.after(() => socket.destroy());
  let answer = '';
  let isClosed = false;
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString();
  });
  socket.on('close', () => {
    isClosed = true;
  });
  socket.write('GET /version HTTP/1.1\r\nX-Slow: ');
  await until(() => isClosed, 'it is closed');
  assert.match(answer, /^HTTP\/1.1 408 /);
  await until(() => under.server.stats.http1 === 0, 'the server has let go of it');
});

test('connections over the limit are closed, and there is room again once others have gone', async (t) => {
  const under = await serverUnderTest({ limits: { connectionsMax: 2 } });
  t.after(() => under.end());
  const channels = [await under.connect(), await under.connect()];
  await assert.rejects(under.connect());
  assert.equal(under.server.stats.refused.connections, 1);
  await channels[0]!.close();
  await until(() => under.server.stats.connections === 1, 'the server has seen it go');
  const channel = await under.connect();
  assert.equal(words(await channel.unary('/test.Calls/Echo', text('room'))), 'room');
});
