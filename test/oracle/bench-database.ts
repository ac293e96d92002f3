/**
 * Makes a large snapshot file as a busy Kubernetes cluster would leave it, with real etcd 3.6:
 * `node dist/test/oracle/bench-database.js TARGET [megabytes=900] [seed=1] [data-dir]`.
 *
 * About five revisions for each key, values of 100 B to 2 KiB, then a compaction after which about half of the
 * file's pages are free. The keys, their values and the order of each key's revisions follow from the seed.
 */
import { existsSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { OracleError } from './cache.ts';
import { compactPhysically, endpointStatus, runLoad, snapshotSave, startEtcd } from './etcd.ts';
import type { EtcdServer } from './etcd.ts';

// Measured: what one revision adds to the file, and where to compact so that half of the pages go.
const FILE_BYTES_PER_REVISION = 1520;
const REVISIONS_PER_KEY = 5;
const COMPACTED_SHARE = 0.73;

/** How large, from which seed, and whether the stopped member is kept as well. */
export interface BenchDatabaseOptions {
  /** Of the resulting file; met within a few percent. 900 MB unless given. */
  sizeBytes?: number;
  seed?: number;
  /** Where the stopped server's data dir goes; must not exist. Removed unless given. */
  keepDataDir?: string;
}

/** What was made, and how long each step took. */
export interface BenchDatabaseReport {
  targetPath: string;
  seed: number;
  /** Of the snapshot file, its SHA-256 trailer included. */
  sizeBytes: number;
  /** Pages in use after the compaction, in bytes. */
  usedBytes: number;
  revisions: number;
  keys: number;
  revision: number;
  compactRevision: number;
  loadSeconds: number;
  compactSeconds: number;
  snapshotSeconds: number;
}

/** Makes the file at `targetPath`, which must not exist. Needs about three times its size on that disk meanwhile. */
export async function makeBenchDatabase(
  targetPath: string,
  options: BenchDatabaseOptions = {},
): Promise<BenchDatabaseReport> {
  const { sizeBytes = 900e6, seed = 1, keepDataDir } = options;
  for (const path of [targetPath, keepDataDir]) {
    if (path !== undefined && existsSync(path)) throw new OracleError(`${path} exists`);
  }
  mkdirSync(dirname(targetPath), { recursive: true });
  const scratch = mkdtempSync(join(dirname(targetPath), 'bench-making-'));
  const dataDir = join(scratch, 'data');
  try {
    const server = await startEtcd('3.6', {
      dataDir,
      unsafeNoFsync: true,
      args: [`--quota-backend-bytes=${8 * 1024 ** 3}`],
    });
    let report: BenchDatabaseReport;
    try {
      report = await fill(server, targetPath, sizeBytes, seed);
    } finally {
      await server.stop();
    }
    if (keepDataDir !== undefined) renameSync(dataDir, keepDataDir);
    return report;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function fill(
  server: EtcdServer,
  targetPath: string,
  sizeBytes: number,
  seed: number,
): Promise<BenchDatabaseReport> {
  const revisions = Math.max(100, Math.round(sizeBytes / FILE_BYTES_PER_REVISION));
  const keys = Math.round(revisions / REVISIONS_PER_KEY);
  const start = Date.now();
  const load = await runLoad(server, { kind: 'bench', revisions, keys, seed });
  const loaded = Date.now();
  const compactRevision = Math.round(load.revision * COMPACTED_SHARE);
  await compactPhysically(server, compactRevision);
  const used = await settledUse(server);
  const compacted = Date.now();
  await snapshotSave(server, targetPath);
  return {
    targetPath,
    seed,
    sizeBytes: statSync(targetPath).size,
    usedBytes: used,
    revisions,
    keys,
    revision: load.revision,
    compactRevision,
    loadSeconds: (loaded - start) / 1000,
    compactSeconds: (compacted - loaded) / 1000,
    snapshotSeconds: (Date.now() - compacted) / 1000,
  };
}

/** The bytes in use, once the last commit of the compaction is on disk and they have stopped changing. */
async function settledUse(server: EtcdServer): Promise<number> {
  let before = -1;
  for (;;) {
    const { dbSizeInUse } = await endpointStatus(server);
    if (dbSizeInUse === before) return dbSizeInUse;
    before = dbSizeInUse;
    await delay(500); // the backend commits every 100 ms
  }
}

async function main(args: readonly string[]): Promise<number> {
  const [targetPath, megabytes = '900', seed = '1', keepDataDir] = args;
  if (targetPath === undefined || !(Number(megabytes) > 0) || !/^\d{1,15}$/.test(seed)) {
    process.stderr.write('usage: bench-database.js TARGET [megabytes] [seed] [data-dir]\n');
    return 2;
  }
  const options: BenchDatabaseOptions = { sizeBytes: Number(megabytes) * 1e6, seed: Number(seed) };
  if (keepDataDir !== undefined) options.keepDataDir = keepDataDir;
  process.stdout.write(`${JSON.stringify(await makeBenchDatabase(targetPath, options), undefined, 2)}\n`);
  return 0;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2));
}
