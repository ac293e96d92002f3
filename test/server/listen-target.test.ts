import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { listenPlaces, listenTarget, removeStaleSocket } from '../../src/server/listen-target.ts';
import { scratch } from '../support/scratch.ts';

test('URLs as servers take them', () => {
  assert.deepEqual(listenTarget('http://localhost:2379'), { host: '127.0.0.1', port: 2379 });
  assert.deepEqual(listenTarget('http://[::]:0'), { host: '::', port: 0 });
  assert.deepEqual(listenTarget('unix:///run/etcd.sock'), { path: '/run/etcd.sock' });
});

test('an address with and without TLS is one place', () => {
  const secure = { open: (): void => {} };
  const urls = [
    'http://127.0.0.1:1',
    'https://127.0.0.1:1',
    'https://localhost:2',
    'unixs:///s',
    'http://[::1]:1',
  ];
  assert.deepEqual(listenPlaces(urls, secure), {
    places: [
      { host: '127.0.0.1', port: 1, secure, isMixed: true },
      { host: '127.0.0.1', port: 2, secure },
      { path: '/s', secure },
      { host: '::1', port: 1, secure: undefined },
    ],
    indexes: [0, 0, 1, 2, 3],
  });
});

test('a socket that a killed server left is taken away, a file is not', async (t) => {
  const directory = scratch(t);
  const path = join(directory, 'left.sock');
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script]);
  assert.ok(existsSync(path));
  await removeStaleSocket({ path });
  assert.ok(!existsSync(path));
  await removeStaleSocket({ path });
  writeFileSync(path, 'precious');
  await removeStaleSocket({ path });
  assert.ok(existsSync(path));
  await removeStaleSocket({ host: '127.0.0.1', port: 1 });
});
