/** Servers under load: in this process or one of their own, with clients that remember what they were told. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { verify } from '../../src/check/verify.ts';
import { Channel } from '../../src/client/channel.ts';
import { rangeResponse } from '../../src/format/proto/kvpb.ts';
import { keyValue } from '../../src/format/proto/mvccpb.ts';
import { putRequest, rangeRequest } from '../../src/format/proto/rpcpb.ts';
import { RpcError, STATUS } from '../../src/rpc/status.ts';
import { defaultConfig, type RunningServer, type ServerConfig } from '../../src/server/config.ts';
import { startServer } from '../../src/server/server.ts';
import { type Disk, realDisk } from '../../src/bytes/disk.ts';
import { BIN } from '../cli/program.ts';
import { rememberingLog } from './opened-member.ts';

const NO_ROOM = 'etcdserver: mvcc: database space exceeded';
const URL = 'http://127.0.0.1:0';

export const isNoRoom = (error: unknown): boolean =>
  error instanceof RpcError && error.status === STATUS.resourceExhausted && error.message === NO_ROOM;

/** A member of its own on a free port. */
export function configAt(dataDir: string, over: Partial<ServerConfig> = {}): ServerConfig {
  return {
    ...defaultConfig(),
    target: { kind: 'member', dataDir, walDir: undefined, isForcedNew: false },
    listenClientUrls: [URL],
    ...over,
  };
}

interface Served {
  server: RunningServer;
  endpoint: string;
}

/** A server in this process. */
export async function serveAt(
  dataDir: string,
  { disk = realDisk(), ...over }: Partial<ServerConfig> & { disk?: Disk } = {},
): Promise<Served> {
  const { log } = rememberingLog();
  const server = await startServer(configAt(dataDir, over), {
    log,
    disk,
    signal: new AbortController().signal,
  });
  return { server, endpoint: server.urls[0]! };
}

export async function put(channel: Channel, key: string, value: string, timeoutMs = 10_000): Promise<void> {
  const request = putRequest.encode({ key: Buffer.from(key), value: Buffer.from(value) });
  await channel.unary('/etcdserverpb.KV/Put', request, { timeoutMs });
}

/** Every key with its value. */
export async function readAll(channel: Channel, prefix = '\0'): Promise<Map<string, string>> {
  const rangeEnd =
    prefix === '\0'
      ? prefix
      : `${prefix.slice(0, -1)}${String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)}`;
  const request = rangeRequest.encode({ key: Buffer.from(prefix), rangeEnd: Buffer.from(rangeEnd) });
  const { kvs } = rangeResponse.decode(
    await channel.unary('/etcdserverpb.KV/Range', request, { timeoutMs: 30_000 }),
  );
  return new Map(
    kvs.map((bytes) => {
      const { key, value } = keyValue.decode(bytes);
      return [Buffer.from(key).toString(), Buffer.from(value).toString()];
    }),
  );
}

/** Puts one key after the other, each new, until it is told to stop or its connection is lost. */
export class Writer {
  readonly acknowledged = new Map<string, string>();
  readonly errors: unknown[] = [];
  readonly #channel: Channel;
  readonly #name: string;
  readonly #valueBytes: number;
  readonly #pauseMs: number;
  #isStopped = false;
  readonly #running: Promise<void>;

  constructor(channel: Channel, name: string, { valueBytes = 100, pauseMs = 0 } = {}) {
    this.#channel = channel;
    this.#name = name;
    this.#valueBytes = valueBytes;
    this.#pauseMs = pauseMs;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    for (let i = 0; !this.#isStopped && !this.#channel.isClosed; i++) {
      const key = `${this.#name}/${String(i).padStart(6, '0')}`;
      const value = `${i}`.padEnd(this.#valueBytes, '.');
      try {
        await put(this.#channel, key, value);
        this.acknowledged.set(key, value);
      } catch (error) {
        this.errors.push(error);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      if (this.#pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, this.#pauseMs));
    }
  }

  /** Resolves when the last put has an answer. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }
}

/** What was acknowledged and is not there, or is something else. */
export function lost(
  found: ReadonlyMap<string, string>,
  acknowledged: ReadonlyMap<string, string>,
): string[] {
  return [...acknowledged].filter(([key, value]) => found.get(key) !== value).map(([key]) => key);
}

export async function assertSound(dataDir: string): Promise<void> {
  const { verdict, findings } = await verify(dataDir);
  const damage = findings.filter(({ severity }) => severity !== 'note');
  assert.deepEqual(damage, [], verdict);
}

/** Starts a server on the directory, and asks it for all that was acknowledged. */
export async function assertHolds(dataDir: string, acknowledged: ReadonlyMap<string, string>): Promise<void> {
  await assertSound(dataDir);
  const { server, endpoint } = await serveAt(dataDir);
  try {
    const channel = await Channel.connect(endpoint);
    assert.deepEqual(lost(await readAll(channel), acknowledged).slice(0, 5), []);
    await channel.close();
  } finally {
    await server.stop(1000);
  }
  await assertSound(dataDir);
}

/** A server in a process of its own. */
export interface ServedChild {
  child: ChildProcess;
  endpoint: string;
  /** What it logged so far. */
  log(): string;
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

/** Resolves when it is ready, or has ended before it was; at once when nobody waits for that. */
export async function serveInChild(
  t: { after(run: () => void): void },
  args: readonly string[],
  { program = [BIN, 'serve'], isWaited = true }: { program?: readonly string[]; isWaited?: boolean } = {},
): Promise<ServedChild> {
  const child = spawn(process.execPath, [...program, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  t.after(() => void child.kill('SIGKILL'));
  let log = '';
  const ended = once(child, 'close').then((end) => {
    const [code, signal] = end as [number | null, NodeJS.Signals | null];
    return { code, signal };
  });
  const listening = new Promise<string>((resolve) => {
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      const found = /"address":"127\.0\.0\.1:(\d+)"/.exec(log)?.[1];
      if (found !== undefined) resolve(found);
    });
    void ended.then(() => resolve('0'));
  });
  const port = isWaited ? await listening : '0';
  return { child, endpoint: `http://127.0.0.1:${port}`, log: () => log, ended };
}

/** Flags of a child that serves a member on a free port. */
export function flagsAt(dataDir: string, ...more: readonly string[]): string[] {
  return [
    `--data-dir=${dataDir}`,
    `--listen-client-urls=${URL}`,
    `--advertise-client-urls=http://127.0.0.1:2379`,
    ...more,
  ];
}
