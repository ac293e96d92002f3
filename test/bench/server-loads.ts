/** The loads of the server bench, what we aim at in each, and how one is run and measured. */
import { runTool, succeeded } from '../oracle/etcd.ts';
import type { EtcdServer } from '../oracle/etcd.ts';
import { cpuSeconds, memory } from './server-process.ts';

/** One load; `goal` is the least throughput, ours ÷ theirs. */
export interface Load {
  readonly name: string;
  readonly mode: 'put' | 'range' | 'txn' | 'mixed' | 'watch';
  readonly clients: number;
  readonly conns: number;
  readonly watchers?: number;
  readonly goal?: number;
  /** The most for our 99th percentile, ours ÷ theirs. */
  readonly p99Goal?: number;
}

export const LOADS: readonly Load[] = [
  { name: 'put, 1 client', mode: 'put', clients: 1, conns: 1, goal: 0.9 },
  { name: 'put, 16 clients', mode: 'put', clients: 16, conns: 4, goal: 0.8, p99Goal: 1.5 },
  { name: 'put, 256 clients', mode: 'put', clients: 256, conns: 16, goal: 0.7 },
  { name: 'range of one key, 1 client', mode: 'range', clients: 1, conns: 1, goal: 0.8 },
  { name: 'range of one key, 16 clients', mode: 'range', clients: 16, conns: 4, goal: 0.8 },
  { name: 'range of one key, 256 clients', mode: 'range', clients: 256, conns: 16, goal: 0.75 },
  { name: 'txn of one compare and two puts, 16 clients', mode: 'txn', clients: 16, conns: 4, goal: 0.8 },
  { name: 'mixed, 16 clients', mode: 'mixed', clients: 16, conns: 4 },
  { name: 'events to 100 watchers', mode: 'watch', clients: 1, conns: 4, watchers: 100, goal: 0.7 },
  { name: 'events to 1000 watchers', mode: 'watch', clients: 1, conns: 10, watchers: 1000, goal: 0.9 },
];

/** What one run of a load on one server gave. */
export interface LoadResult {
  /** Operations or, with watchers, events. */
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** Of the server, for each operation or event. */
  cpuMicroseconds: number;
  residentBytes: number;
}

interface ClientReport {
  seconds: number;
  operations: number;
  errors: number;
  firstError?: string;
  opsPerSecond: number;
  p50: number;
  p99: number;
  events?: number;
  eventsExpected?: number;
  eventsPerSecond?: number;
}

async function runClient(server: EtcdServer, ...args: string[]): Promise<ClientReport> {
  const running = runTool('3.6', 'bench', [...args, `--endpoint=${server.endpoint}`], { timeoutMs: 180_000 });
  const report = JSON.parse((await succeeded(running)).stdout) as ClientReport;
  if (report.errors > 0)
    throw new TypeError(`${server.label}: ${report.errors} errors, first ${report.firstError}`);
  if (report.events !== report.eventsExpected) throw new TypeError(`${server.label}: events are missing`);
  return report;
}

/** Puts the keys there that ranges and transactions ask for. */
export async function fill(server: EtcdServer, flags: readonly string[] = []): Promise<void> {
  await runClient(server, 'fill', '--clients=64', '--conns=4', ...flags);
}

interface RunOptions {
  seconds: number;
  /** Which keys are chosen. */
  seed: number;
  /** What the clients show of themselves. */
  flags?: readonly string[];
}

/** Loads a server for so many seconds. */
export async function runLoadOn(
  server: EtcdServer,
  load: Load,
  { seconds, seed, flags = [] }: RunOptions,
): Promise<LoadResult> {
  const before = cpuSeconds(server.pid);
  const report = await runClient(
    server,
    load.mode,
    `--clients=${load.clients}`,
    `--conns=${load.conns}`,
    `--duration=${seconds}s`,
    `--watchers=${load.watchers ?? 1}`,
    `--seed=${seed}`,
    ...flags,
  );
  const count = report.events ?? report.operations;
  return {
    perSecond: report.eventsPerSecond ?? report.opsPerSecond,
    p50Ms: report.p50 / 1000,
    p99Ms: report.p99 / 1000,
    cpuMicroseconds: ((cpuSeconds(server.pid) - before) / count) * 1e6,
    residentBytes: memory(server.pid).residentBytes,
  };
}
