/**
 * Clients that are slow, dead or hostile: none of them costs the server memory without end, and others are served
 * meanwhile.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Channel } from '../../src/client/channel.ts';
import { watchRequest, watchResponse } from '../../src/format/proto/watchpb.ts';
import { RpcError } from '../../src/rpc/status.ts';
import { scratch } from '../support/scratch.ts';
import { flagsAt, put, readAll, serveInChild, type ServedChild } from '../support/served.ts';

const MB = 1 << 20;
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const cleanups: (() => void)[] = [];
let served: ServedChild;
/** Of somebody who behaves. */
let other: Channel;
const port = (): number => Number(new URL(served.endpoint).port);

function rssBytes(): number {
  const status = readFileSync(`/proc/${served.child.pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) * 1024;
}

/** Runs `misbehave`; meanwhile somebody else is answered, and memory grows by no more than `growthMax`. */
async function bears(
  misbehave: () => Promise<void>,
  growthMax: number,
): Promise<{ grownMb: number; slowestMs: number }> {
  const start = rssBytes();
  let isOver = false;
  let highest = start;
  let slowestMs = 0;
  let answers = 0;
  const watching = (async () => {
    while (!isOver || answers === 0) {
      const began = performance.now();
      await put(other, 'other', `${answers++}`, 10_000);
      slowestMs = Math.max(slowestMs, performance.now() - began);
      highest = Math.max(highest, rssBytes());
      await pause(20);
    }
  })();
  try {
    await misbehave();
  } finally {
    isOver = true;
  }
  await watching;
  const grown = highest - start;
  assert.ok(grown < growthMax, `it grew by ${grown / MB} MB`);
  assert.ok(slowestMs < 8000, `somebody else waited ${slowestMs} ms`);
  return { grownMb: Math.round(grown / MB), slowestMs: Math.round(slowestMs) };
}

function rawSocket(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port(), '127.0.0.1');
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}

describe('a server bears', () => {
  before(async () => {
    const suite = { after: (run: () => void) => void cleanups.push(run) };
    served = await serveInChild(suite, flagsAt(join(scratch(suite), 'data')));
    other = await Channel.connect(served.endpoint);
    // What a process grows to when it is used at all is nobody's fault.
    for (let i = 0; i < 300; i++) await put(other, `warm/${i % 10}`, 'x'.repeat(10_000));
  });

  after(async () => {
    await other.close();
    served.child.kill('SIGTERM');
    const { code } = await served.ended;
    for (const clean of cleanups) clean();
    assert.equal(code, 0, served.log().slice(-2000));
  });

  test('a client that never reads its watch, and then has every event', async (t) => {
    const COUNT = 600;
    const SIZE = 100_000;
    const deaf = await Channel.connect(served.endpoint);
    const watch = deaf.stream('/etcdserverpb.Watch/Watch');
    watch.send(watchRequest.encode({ createRequest: { key: Buffer.from('deaf') } }));
    await watch.receive();
    const found = await bears(async () => {
      for (let i = 0; i < COUNT; i++) await put(other, 'deaf', String(i).padEnd(SIZE, '.'));
    }, 160 * MB);
    let seen = 0;
    while (seen < COUNT) seen += watchResponse.decode((await watch.receive())!).events.length;
    assert.equal(seen, COUNT);
    await deaf.close();
    t.diagnostic(`${COUNT} events of ${SIZE} bytes: ${JSON.stringify(found)}`);
  });

  test('1,000 connections that say half of what they want, or nothing', async (t) => {
    const sockets: Socket[] = [];
    const found = await bears(async () => {
      const says = [
        '',
        'PRI * HTTP/2.0\r\n',
        PREFACE,
        'GET /health HTTP/1.1\r\n',
        Buffer.concat([Buffer.from(PREFACE), EMPTY_SETTINGS]),
      ];
      for (let i = 0; i < 1000; i++) {
        const socket = await rawSocket();
        socket.write(says[i % says.length]!);
        sockets.push(socket);
      }
      await pause(500);
    }, 150 * MB);
    for (const socket of sockets) socket.destroy();
    t.diagnostic(JSON.stringify(found));
  });

  test('2,000 calls of which only the headers come', async (t) => {
    const session = connectHttp2(served.endpoint);
    session.on('error', () => {});
    const found = await bears(async () => {
      for (let i = 0; i < 2000; i++) {
        const path = ['/etcdserverpb.KV/Put', '/etcdserverpb.Watch/Watch'][i % 2]!;
        session
          .request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' })
          .on('error', () => {});
        if (i % 100 === 0) await pause(1);
      }
      await pause(500);
    }, 150 * MB);
    session.destroy();
    t.diagnostic(JSON.stringify(found));
  });

  test('10,000 connections that come and go', { timeout: 120_000 }, async (t) => {
    const found = await bears(async () => {
      const come = async (): Promise<void> => {
        for (let i = 0; i < 1250; i++) {
          const socket = await rawSocket();
          if (i % 2 === 0) socket.write(PREFACE);
          if (i % 3 === 0) socket.resetAndDestroy();
          else socket.destroy();
        }
      };
      await Promise.all(Array.from({ length: 8 }, come));
    }, 150 * MB);
    t.diagnostic(JSON.stringify(found));
  });

  test('20,000 cancelled calls', { timeout: 120_000 }, async (t) => {
    let cancelled = 0;
    const found = await bears(async () => {
      while (cancelled < 20_000) {
        const channel = await Channel.connect(served.endpoint);
        // A connection with too many of them is told to move, as often as it takes.
        for (let i = 0; i < 400 && !channel.isClosed; i++) {
          try {
            const call = channel.stream(i % 2 === 0 ? '/etcdserverpb.Watch/Watch' : '/v3lockpb.Lock/Lock');
            const isCut = call.receive().catch((error: unknown) => assert.ok(error instanceof RpcError));
            setImmediate(() => call.cancel());
            cancelled++;
            await isCut;
          } catch (error) {
            assert.ok(error instanceof RpcError, String(error));
          }
        }
        await channel.close();
      }
    }, 150 * MB);
    t.diagnostic(`${cancelled} cancelled: ${JSON.stringify(found)}`);
  });

  test('all of that, and still has its keys', async () => {
    assert.equal((await readAll(other, 'warm/')).size, 10);
  });
});
