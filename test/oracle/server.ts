/**
 * Starts and ends real etcd servers on 127.0.0.1.
 *
 * No server outlives this process: each is killed by its pid when the process exits or is told to end. A
 * running server does not keep the process alive either, so a test that forgets one still finishes.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { get } from 'node:http';
import { get as getSecurely } from 'node:https';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { program, OracleError } from './cache.ts';
import type { Version } from './cache.ts';
import { toolEnvironment } from './tools.ts';

const LOG_SIZE_MAX = 4 << 20;
const STOP_TIMEOUT_MS = 30_000;

/** How one member is started. Without `ports` free ones are chosen. */
export interface StartOptions {
  dataDir: string;
  walDir?: string;
  /** Must be the name the data dir was made with, when it holds a member already. */
  name?: string;
  /** `name=peerUrl,…`; this member alone unless given. Ignored by etcd once there is a WAL. */
  initialCluster?: string;
  /** For a restored member the peer port must be the one given to `restore`. */
  ports?: Ports;
  /** Further flags; the log level must stay at info, since readiness is also read from the log. */
  args?: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** Only where speed of making data matters. */
  unsafeNoFsync?: boolean;
  snapshotCount?: number;
  forceNewCluster?: boolean;
  /** How long it may take to become healthy; 30 s unless given. */
  timeoutMs?: number;
  /** Clients are served under TLS; whoever asks after its health shows this certificate, and trusts any. */
  secure?: { cert?: string; key?: string };
  /** Where else clients are served. */
  moreClientUrls?: readonly string[];
  /** Where its health is asked for, when that is not its client URL. */
  healthUrl?: string;
}

/** A program that can be started as a member. */
export interface ServerProgram {
  /** Whose etcdctl fits it. */
  readonly version: Version;
  /** What it is called in messages. */
  readonly label: string;
  readonly file: string;
  /** What comes before etcd's flags. */
  readonly args: readonly string[];
  /** Stands in its log once it serves. */
  readonly readyText: string;
}

/** The two ports of a member. */
export interface Ports {
  client: number;
  peer: number;
}

/** A server that has answered as healthy. */
export interface EtcdServer {
  readonly version: Version;
  readonly label: string;
  readonly name: string;
  readonly dataDir: string;
  /** Client URL. */
  readonly endpoint: string;
  readonly peerUrl: string;
  /** Where its health is asked for, and with what. */
  readonly health: { url: string; cert?: string; key?: string };
  readonly pid: number;
  /** Everything it wrote to stdout and stderr; of a long log the last 4 MiB. */
  log(): string;
  /** Fulfilled when the process is gone, for whatever reason. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** SIGTERM, then waits until the process is gone. */
  stop(): Promise<void>;
  /** SIGKILL, then waits until the process is gone. */
  kill(): Promise<void>;
}

const live = new Set<number>();
let isReapedAtExit = false;

function killAll(): void {
  for (const pid of live) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It went by itself in the meantime.
    }
  }
  live.clear();
}

function reapAtExit(): void {
  if (isReapedAtExit) return;
  isReapedAtExit = true;
  process.once('exit', killAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      killAll();
      // If nobody else listens, the signal does what it would have done without us.
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    });
  }
}

const handedOut = new Set<number>();

/** Ports on 127.0.0.1 that nobody listens on now; none is given twice by one process. */
export async function freePorts(count: number): Promise<number[]> {
  const listeners: Server[] = [];
  const ports: number[] = [];
  while (ports.length < count) {
    const listener = createServer();
    listeners.push(listener); // kept open until all are found, so that each is different
    await new Promise<void>((fulfil, reject) => {
      listener.once('error', reject).listen(0, '127.0.0.1', fulfil);
    });
    const { port } = listener.address() as AddressInfo;
    if (!handedOut.has(port)) ports.push(port);
    handedOut.add(port);
  }
  await Promise.all(listeners.map((each) => new Promise((fulfil) => each.close(fulfil))));
  return ports;
}

/** Ports for one member. */
export async function freeMemberPorts(): Promise<Ports> {
  const [client, peer] = await freePorts(2);
  return { client: client!, peer: peer! };
}

/** The peer URL that a member with these ports uses; `restore` needs to be told the same. */
export function peerUrlOf(ports: Ports): string {
  return `http://127.0.0.1:${ports.peer}`;
}

/**
 * Starts one member and waits until it is healthy. Rejects with an OracleError that ends with the tail of the
 * server's log when it exits early or stays unhealthy; the process is gone by then. Where the ports are not
 * given and somebody else took one in between, it tries again with others.
 */
export function startEtcd(version: Version, options: StartOptions): Promise<EtcdServer> {
  return startServer(etcdProgram(version), options);
}

/** The same for any program that takes etcd's flags. */
export async function startServer(program: ServerProgram, options: StartOptions): Promise<EtcdServer> {
  for (let attempt = 1; ; attempt += 1) {
    const server = launch(program, options, options.ports ?? (await freeMemberPorts()));
    try {
      await untilStarted(server, program.readyText, options.timeoutMs);
      return server;
    } catch (error) {
      await server.kill();
      const canMove = options.ports === undefined && options.initialCluster === undefined;
      if (attempt === 3 || !canMove || !server.log().includes('address already in use')) throw error;
    }
  }
}

/**
 * Starts several members at once, as a new cluster or from data dirs made for it, and waits until all are
 * healthy, which takes a quorum. If one does not get there, all are killed.
 */
export async function startCluster(
  version: Version,
  members: readonly (StartOptions & { name: string })[],
): Promise<EtcdServer[]> {
  const placed: (StartOptions & { name: string; ports: Ports })[] = [];
  for (const member of members) {
    placed.push({ ...member, ports: member.ports ?? (await freeMemberPorts()) });
  }
  const initialCluster = placed.map((member) => `${member.name}=${peerUrlOf(member.ports)}`).join(',');
  const etcd = etcdProgram(version);
  const servers = placed.map((member) => launch(etcd, { initialCluster, ...member }, member.ports));
  try {
    await Promise.all(
      servers.map((server, index) => untilStarted(server, etcd.readyText, members[index]!.timeoutMs)),
    );
  } catch (error) {
    await Promise.all(servers.map((server) => server.kill()));
    throw error;
  }
  return servers;
}

/** Real etcd of a version. */
export function etcdProgram(version: Version): ServerProgram {
  const { file, args } = program(version, 'etcd');
  return { version, label: `etcd ${version}`, file, args, readyText: 'serving client traffic' };
}

function clientUrlOf({ secure }: StartOptions, ports: Ports): string {
  return `${secure ? 'https' : 'http'}://127.0.0.1:${ports.client}`;
}

function serverArguments(version: Version, options: StartOptions, ports: Ports): string[] {
  const name = options.name ?? 'default';
  const clientUrl = clientUrlOf(options, ports);
  const peerUrl = peerUrlOf(ports);
  const args = [
    `--name=${name}`,
    `--data-dir=${options.dataDir}`,
    `--listen-client-urls=${[clientUrl, ...(options.moreClientUrls ?? [])].join(',')}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=${options.initialCluster ?? `${name}=${peerUrl}`}`,
  ];
  if (version === '3.4') args.push('--logger=zap');
  if (options.walDir !== undefined) args.push(`--wal-dir=${options.walDir}`);
  if (options.unsafeNoFsync === true) args.push('--unsafe-no-fsync');
  if (options.snapshotCount !== undefined) args.push(`--snapshot-count=${options.snapshotCount}`);
  if (options.forceNewCluster === true) args.push('--force-new-cluster');
  return [...args, ...(options.args ?? [])];
}

/** Starts the process and returns at once; the server is not healthy yet. */
function launch(program: ServerProgram, options: StartOptions, ports: Ports): EtcdServer {
  const { version, label, file, args: leading } = program;
  const unsupported: Record<string, string> =
    process.arch === 'x64' ? {} : { ETCD_UNSUPPORTED_ARCH: process.arch };
  const child = spawn(file, [...leading, ...serverArguments(version, options, ports)], {
    env: toolEnvironment({ ETCD_VERIFY: 'all', ...unsupported, ...options.env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { pid } = child;
  if (pid !== undefined) {
    reapAtExit();
    live.add(pid);
  }
  const log = keepLog(child);
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((fulfil) => {
    const gone = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (pid !== undefined) live.delete(pid);
      fulfil({ code, signal });
    };
    child.once('close', gone);
    child.once('error', () => gone(null, null));
  });
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.ref();
    child.kill(signal);
    const wait = new AbortController();
    const isGone = await Promise.race([
      exited.then(() => true),
      delay(STOP_TIMEOUT_MS, false, { signal: wait.signal }),
    ]);
    wait.abort();
    if (isGone) return;
    child.kill('SIGKILL');
    await exited;
    throw new OracleError(`${label} did not stop within ${STOP_TIMEOUT_MS} ms of ${signal}`);
  };
  return {
    version,
    label,
    name: options.name ?? 'default',
    dataDir: options.dataDir,
    endpoint: clientUrlOf(options, ports),
    peerUrl: peerUrlOf(ports),
    health: { ...options.secure, url: options.healthUrl ?? clientUrlOf(options, ports) },
    pid: pid ?? -1,
    log,
    exited,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  };
}

/** Collects what a child writes, and lets it run without keeping this process alive. */
function keepLog(child: ChildProcess): () => string {
  let chunks: Buffer[] = [];
  let size = 0;
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size <= 2 * LOG_SIZE_MAX) return;
      chunks = [Buffer.concat(chunks).subarray(-LOG_SIZE_MAX)];
      size = LOG_SIZE_MAX;
    });
    (stream as { unref?: () => void } | null)?.unref?.();
  }
  child.on('error', (error) => chunks.push(Buffer.from(`${error.message}\n`)));
  child.unref();
  return () => Buffer.concat(chunks).toString();
}

/**
 * Waits until a started server is healthy, as after a change of leader. Throws an OracleError with the tail of
 * its log if it exits or is not healthy in time.
 */
export function untilHealthy(server: EtcdServer, timeoutMs = 30_000): Promise<void> {
  return until(server, timeoutMs, () => isHealthy(server.health));
}

/** The log is asked as well, since another process's server may answer on a port that ours did not get. */
function untilStarted(server: EtcdServer, readyText: string, timeoutMs = 30_000): Promise<void> {
  const isServing = (): boolean => server.log().includes(readyText);
  return until(server, timeoutMs, async () => isServing() && (await isHealthy(server.health)));
}

async function until(server: EtcdServer, timeoutMs: number, isMet: () => Promise<boolean>): Promise<void> {
  let hasExited = false;
  void server.exited.then(() => {
    hasExited = true;
  });
  const deadline = Date.now() + timeoutMs;
  while (!(await isMet())) {
    if (hasExited || Date.now() > deadline) {
      const what = hasExited ? 'exited before it was healthy' : `was not healthy after ${timeoutMs} ms`;
      throw new OracleError(`${server.label} ${what}; its log ends:\n${server.log().slice(-4000)}`);
    }
    await delay(50);
  }
}

/** Whether the server answers and its cluster has a leader; a raised alarm does not count as illness. */
function isHealthy({ url: base, ...identity }: EtcdServer['health']): Promise<boolean> {
  return new Promise((fulfil) => {
    const url = `${base}/health?exclude=NOSPACE&exclude=CORRUPT`;
    const ask = base.startsWith('https:') ? getSecurely : get;
    const options = { agent: false as const, timeout: 5000, rejectUnauthorized: false, ...identity };
    const request = ask(url, options, (response) => {
      response.resume();
      response.once('close', () => fulfil(response.statusCode === 200));
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => fulfil(false));
  });
}
