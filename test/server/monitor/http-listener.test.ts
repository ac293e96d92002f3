import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { ToolError } from '../../../src/errors.ts';
import { listenHttp } from '../../../src/server/monitor/http-listener.ts';
import { scratch } from '../../support/scratch.ts';
import { ask } from './http-client.ts';

test('it says which port it got, and gives it up', async () => {
  const listener = await listenHttp('http://127.0.0.1:0', (_request, response) => response.end('here'));
  assert.match(listener.url, /^http:\/\/127\.0\.0\.1:\d{2,}$/);
  assert.equal((await ask(listener.url)).body, 'here');
  await listener.close(1000);
  await assert.rejects(ask(listener.url), /ECONNREFUSED/);
});

test('a port that is taken is an error', async (t) => {
  const first = await listenHttp('http://127.0.0.1:0', (_request, response) => response.end());
  t.after(() => first.close(0));
  await assert.rejects(
    listenHttp(first.url, () => {}),
    (error) =>
      error instanceof ToolError && error.code === 'server.listen' && error.message.includes('EADDRINUSE'),
  );
});

test('a socket in the file system', async (t) => {
  const path = join(scratch(t), 'http.sock');
  const listener = await listenHttp(`unix://${path}`, (_request, response) => response.end('socket'));
  t.after(() => listener.close(0));
  assert.equal((await ask('http://localhost/', { socketPath: path })).body, 'socket');
});

test('closing waits for nobody who is idle, and not for ever for the others', async (t) => {
  const listener = await listenHttp('http://127.0.0.1:0', (request, response) => {
    if (request.url === '/quick') response.end();
  });
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const [quick] = await once(get(`${listener.url}/quick`, { agent }), 'response');
  quick.resume();
  await once(quick, 'end');
  const socket = connect(Number(new URL(listener.url).port), '127.0.0.1');
  socket.on('error', () => {});
  socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'connect');
  const began = performance.now();
  await listener.close(200);
  assert.ok(performance.now() - began < 5000);
});
