/** A server in a process of its own under attack: what it holds, how it answers others, what it counts. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Channel, type ChannelOptions, type ChannelTls } from '../../src/client/channel.ts';
import { scratch } from '../support/scratch.ts';
import { flagsAt, put, serveInChild } from '../support/served.ts';

export const MB = 1 << 20;

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until something is so. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  limitMs = 15_000,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `${what} within ${limitMs} ms`);
    await pause(20);
  }
}

interface Bounds {
  /** What memory may grow by, in MB. */
  growthMb?: number;
  /** How long anybody else may wait for an answer. */
  waitMs?: number;
}

export interface Borne {
  grownMb: number;
  slowestMs: number;
  answers: number;
}

export interface Attacked {
  endpoint: string;
  port: number;
  /** A connection of somebody who behaves, to be closed with the test. */
  connect(options?: ChannelOptions): Promise<Channel>;
  /** Values by name and labels, from the port for metrics alone. */
  metrics(): Promise<Map<string, number>>;
  /** How often something was refused for the reason. */
  refused(reason: string): Promise<number>;
  /** Makes somebody else another one, such as one who is logged in. */
  setOther(other: Channel): void;
  /** What it logged. */
  log(): string;
  /** A connection that says what it is given, and can be asked whether it was closed. */
  dial(...said: (string | Buffer)[]): Victim;
  /** Runs the attack; meanwhile somebody else goes on being answered, and memory is bounded. */
  bears(t: TestContext, attack: () => Promise<void>, bounds?: Bounds): Promise<Borne>;
}

/** A connection of an attacker. */
export interface Victim {
  socket: Socket;
  isClosed: boolean;
  heard: string;
}

const WARM_UP_PUTS = 300;

/** Ends with the test; it must not have ended before, nor logged an error. */
export function underAttack(t: TestContext, ...flags: string[]): Promise<Attacked> {
  return attacked(t, flags);
}

/** The same behind TLS, which the flags set up and `tls` passes. */
export function underAttackByTls(t: TestContext, tls: ChannelTls, flags: string[]): Promise<Attacked> {
  return attacked(t, flags, tls);
}

async function attacked(t: TestContext, flags: string[], tls?: ChannelTls): Promise<Attacked> {
  const cleanups: (() => void)[] = [];
  // Not before the server has ended.
  const suite = { after: (run: () => void) => void cleanups.push(run) };
  const folder = scratch(suite);
  const metricsPath = join(folder, 'metrics.sock');
  const args = flagsAt(join(folder, 'data'), `--listen-metrics-urls=unix://${metricsPath}`, ...flags);
  const secured = args.map((arg) => (tls ? arg.replace(/^(--\w+-client-urls=http):/, '$1s:') : arg));
  const served = await serveInChild(suite, secured);
  const { child } = served;
  const endpoint = tls ? served.endpoint.replace(/^http:/, 'https:') : served.endpoint;
  const channels = new Set<Channel>();
  const connect = async (options: ChannelOptions = {}): Promise<Channel> => {
    const channel = await Channel.connect(endpoint, { tls, ...options });
    channels.add(channel);
    return channel;
  };
  let other = await connect();
  const sockets = new Set<Socket>();
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    for (const channel of channels) await channel.close();
    child.kill('SIGTERM');
    const { code } = await served.ended;
    for (const clean of cleanups) clean();
    assert.equal(code, 0, served.log().slice(-2000));
    assert.doesNotMatch(served.log(), /"level":"(?:error|fatal)"/);
  });
  for (let i = 0; i < WARM_UP_PUTS; i++) await put(other, `warm/${i % 10}`, 'x'.repeat(10_000));
  const port = Number(new URL(endpoint).port);
  const metrics = (): Promise<Map<string, number>> => readMetrics(metricsPath);
  return {
    endpoint,
    port,
    connect,
    metrics,
    setOther: (next) => {
      other = next;
    },
    log: () => served.log(),
    refused: async (reason) => (await metrics()).get(`etcdkit_refused_total{reason="${reason}"}`)!,
    dial: (...said) => {
      const victim = dial(port, said);
      sockets.add(victim.socket);
      return victim;
    },
    bears: (t, attack, bounds) => bears({ t, pid: child.pid!, other, attack }, bounds),
  };
}

function dial(port: number, said: readonly (string | Buffer)[]): Victim {
  const socket = connect(port, '127.0.0.1');
  const victim: Victim = { socket, isClosed: false, heard: '' };
  socket.on('error', () => {});
  socket.on('close', () => {
    victim.isClosed = true;
  });
  socket.on('data', (chunk: Buffer) => {
    if (victim.heard.length < MB) victim.heard += chunk.toString('latin1');
  });
  for (const text of said) socket.write(text);
  return victim;
}

async function readMetrics(socketPath: string): Promise<Map<string, number>> {
  const text = await new Promise<string>((resolve, reject) => {
    const call = request({ socketPath, path: '/metrics', agent: false, timeout: 10_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve(body));
    });
    call.on('timeout', () => call.destroy());
    call.on('error', reject).end();
  });
  const lines = text.split('\n').filter((line) => /^[a-z]/.test(line));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

/** Memory of the process's own, in MB. */
function memoryMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(status)![1]) / 1024;
}

interface Attack {
  t: TestContext;
  pid: number;
  other: Channel;
  attack: () => Promise<void>;
}

async function bears(
  { t, pid, other, attack }: Attack,
  { growthMb = 200, waitMs = 5000 }: Bounds = {},
): Promise<Borne> {
  const start = memoryMb(pid);
  let isOver = false;
  let highest = start;
  const borne: Borne = { grownMb: 0, slowestMs: 0, answers: 0 };
  const watching = (async () => {
    while (!isOver || borne.answers === 0) {
      const began = performance.now();
      await put(other, 'other', String(borne.answers++), 30_000);
      borne.slowestMs = Math.max(borne.slowestMs, Math.round(performance.now() - began));
      highest = Math.max(highest, memoryMb(pid));
      await pause(20);
    }
  })();
  try {
    await attack();
  } finally {
    isOver = true;
  }
  await watching;
  borne.grownMb = Math.round(highest - start);
  t.diagnostic(JSON.stringify(borne));
  assert.ok(borne.grownMb < growthMb, `memory grew by ${borne.grownMb} MB`);
  assert.ok(borne.slowestMs < waitMs, `somebody else waited ${borne.slowestMs} ms`);
  return borne;
}
