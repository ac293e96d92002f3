/** How long a server takes to serve a large directory, and how much memory it then holds. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeBenchDatabase } from '../oracle/bench-database.ts';
import { cacheFolder } from '../oracle/cache.ts';
import { ask, freeMemberPorts, peerUrlOf } from '../oracle/etcd.ts';
import type { EtcdServer, Ports, StartOptions } from '../oracle/etcd.ts';
import { projectRoot } from '../support/project.ts';
import { cpuSeconds, memory } from './server-process.ts';

const SETTLE_MS = 1000;
const NAME = 'm1';

/** One start. */
export interface StartResult {
  readySeconds: number;
  /** Until a second after a read of the number of keys. */
  cpuSeconds: number;
  residentBytes: number;
  peakBytes: number;
}

/** The backup, made once by real etcd and kept in the oracle's cache. */
export async function backupOf(megabytes: number): Promise<string> {
  const path = join(cacheFolder(), `bench-${megabytes}.db`);
  if (!existsSync(path)) await makeBenchDatabase(path, { sizeBytes: megabytes * 1_000_000 });
  return path;
}

/** A member restored from the backup by our own tool, and what a server needs to be told to start on it. */
export async function restored(backup: string, dataDir: string): Promise<StartOptions & { ports: Ports }> {
  const ports = await freeMemberPorts();
  const url = peerUrlOf(ports);
  execFileSync(process.execPath, [
    join(projectRoot(), 'bin', 'etcdkit.js'),
    'snapshot',
    'restore',
    backup,
    `--data-dir=${dataDir}`,
    `--name=${NAME}`,
    `--initial-cluster=${NAME}=${url}`,
    `--initial-advertise-peer-urls=${url}`,
  ]);
  return { dataDir, name: NAME, ports };
}

/** Starts a server, asks it for the number of keys, measures it, and ends it. */
export async function measureStart(start: () => Promise<EtcdServer>): Promise<StartResult> {
  const began = performance.now();
  const server = await start();
  try {
    const readySeconds = (performance.now() - began) / 1000;
    await ask(server, ['get', '', '--prefix', '--count-only', '--write-out=fields']);
    await delay(SETTLE_MS);
    return { readySeconds, cpuSeconds: cpuSeconds(server.pid), ...memory(server.pid) };
  } finally {
    await server.stop();
  }
}
