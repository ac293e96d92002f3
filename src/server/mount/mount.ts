/**
 * `serve --snapshot`: a backup, a database file or the directory of a stopped member, served as it is. Nothing is copied
 * and nothing is written to it; what its log adds is applied in memory. The file must lie still while it is served.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isLockedByOther } from '../../bytes/lock.ts';
import { Pacer } from '../../bytes/pacer.ts';
import type { PendingDigest } from '../../bytes/sha256.ts';
import { recognise } from '../../check/kind.ts';
import { RefusedError, UsageError } from '../../errors.ts';
import { compareBytes } from '../../bytes/order.ts';
import { clusterId } from '../../format/ids.ts';
import type { Metadata } from '../../format/proto/memberpb.ts';
import { listSegments, LogReader } from '../../format/wal/log.ts';
import { Applier } from '../../store/apply/applier.ts';
import type { Backend, BackendView } from '../../store/backend/backend.ts';
import { BoltBackend } from '../../store/backend/bolt.ts';
import { BoltView } from '../../store/backend/bolt-view.ts';
import { Layers } from '../../store/backend/layers.ts';
import { Overlay } from '../../store/backend/overlay.ts';
import { UntilRevision } from '../../store/backend/until-revision.ts';
import { type Database, openDatabase, startDigest } from '../../store/database.ts';
import { KeyValues } from '../../store/mvcc/key-values.ts';
import { replayLog } from '../../store/replay.ts';
import { knownVersion, type Version } from '../../store/schema/buckets.ts';
import { indexOf } from '../../store/schema/rows.ts';
import { CommitCadence } from '../commits.ts';
import { Compactions } from '../compactions.ts';
import type { ServerConfig, ServerContext, Target } from '../config.ts';
import type { Identity } from '../core.ts';
import { assertEnforceable } from '../auth/enforceable.ts';
import type { Log } from '../log.ts';
import type { Served } from '../served.ts';
import type { Stats } from '../monitor/stats.ts';
import { storageVersionOf } from '../versions.ts';
import { MountBackend } from './mount-backend.ts';
import { MountCore } from './mount-core.ts';

interface MountOptions {
  config: ServerConfig;
  target: Target & { kind: 'mount' };
  stats: Stats;
  onFailure: (error: unknown) => void;
}

/** What is to be mounted, opened. */
export interface Mountable {
  database: Database;
  /** Of a directory. */
  walDir: string | undefined;
}

/** Throws at once for what is nothing that etcd writes, or what an etcd runs on. */
export function openMountable({ path, walDir }: { path: string; walDir: string | undefined }): Mountable {
  const input = recognise(path, { walDir });
  assertStill(input.database);
  return { database: openDatabase(input.database), walDir: input.walDir };
}

/** Resolves when the keys are known. Throws for what cannot be served, with what to run next. */
export async function startMount(
  options: MountOptions,
  mountable: Mountable,
  context: ServerContext,
): Promise<Served> {
  try {
    return await mount(options, mountable, context);
  } catch (error) {
    mountable.database.close();
    throw error;
  }
}

function assertStill(path: string): void {
  if (!isLockedByOther(path)) return;
  throw new RefusedError('lock.held', `${path} is locked: an etcd is running on it`, {
    where: { file: path },
    hint: 'take a snapshot of it first, and serve that: etcdkit snapshot save --endpoints URL -o FILE',
  });
}

async function mount(options: MountOptions, mountable: Mountable, context: ServerContext): Promise<Served> {
  const { target, config, stats } = options;
  const { log, signal } = context;
  const { database, walDir } = mountable;
  const pacer = new Pacer({ signal });
  const began = performance.now();
  const last = new Overlay(new BoltView(database.source));
  const owner = walDir === undefined ? undefined : await replayed(last, walDir, pacer);
  const shown = target.revision === undefined ? last : new UntilRevision(last, target.revision);
  const scratch = target.isScratch ? await openScratch(shown, options, context) : undefined;
  let digest: PendingDigest | undefined;
  try {
    const rows = scratch?.rows ?? new Overlay(shown);
    const keys = await KeyValues.open(rows, pacer);
    assertHeld(keys, target.revision);
    keys.sort();
    // Not before: it would take the disk from whoever waits for the keys.
    digest = startDigest(database);
    if (digest) void reportDigest(database, digest, log);
    const applier = new Applier(rows, keys, { hasTerm: rows.get('meta', TERM) !== undefined });
    assertEnforceable(applier.users, target.path);
    if (applier.users.isEnabled && target.isAuthSkipped)
      log.warn({ path: target.path }, 'nobody is asked who they are: everybody who can connect is root');
    const isFileWhole = (): boolean => walDir === undefined && shown === last && scratch === undefined;
    const close = async (): Promise<void> => scratch?.close();
    const backend = new MountBackend({ disk: context.disk, database, rows, isFileWhole, close });
    const compactions = scratch && new Compactions({ backend, log, stats: stats.compaction });
    const identity = identityOf(applier, config.name, owner);
    const core = new MountCore({ applier, backend, identity, term: termOf(rows), log, compactions });
    const took = `${Math.round(performance.now() - began)}ms`;
    log.info({ path: target.path, revision: keys.revision, took }, 'the keys are known');
    return {
      core,
      emulated: config.emulate ?? versionOf(rows),
      isTimed: false,
      async stop() {
        digest?.cancel();
        await compactions?.stop();
        await backend.close();
      },
    };
  } catch (error) {
    digest?.cancel();
    await scratch?.close();
    throw error;
  }
}

/** Reading goes on meanwhile: what is looked at is checked page by page, whatever the digest says. */
async function reportDigest({ trailer, path }: Database, digest: PendingDigest, log: Log): Promise<void> {
  if (!trailer) return;
  try {
    const isEqual = compareBytes(await digest.result, trailer) === 0;
    if (isEqual) log.info({ path }, 'the SHA-256 of the backup is right');
    else log.error({ path }, 'the SHA-256 of the backup does not match: it is damaged or was changed');
  } catch (error) {
    log.warn({ path, error }, 'the SHA-256 of the backup could not be checked');
  }
}

const TERM = Buffer.from('term');

/** Adds what only the log holds. Gives whose log it is. */
async function replayed(rows: Overlay, walDir: string, pacer: Pacer): Promise<Metadata | undefined> {
  const { segments } = listSegments(walDir);
  const hasTerm = rows.get('meta', TERM) !== undefined;
  await replayLog(rows, segments, { hasTerm, pacer });
  const reader = new LogReader(segments.slice(-1));
  for (const event of reader.events()) if (event.kind === 'metadata') break;
  return reader.metadata;
}

/** Throws for a revision that the file does not hold. */
function assertHeld(keys: KeyValues, revision: number | undefined): void {
  if (revision === undefined || (keys.revision >= revision && keys.compactRevision <= revision)) return;
  const why =
    keys.compactRevision > revision
      ? `the history before ${keys.compactRevision} has been compacted`
      : `the last one is ${keys.revision}`;
  throw new UsageError('usage', `revision ${revision} is not held: ${why}`);
}

interface Scratch {
  rows: Backend;
  close(): Promise<void>;
}

/** A database in a directory of its own, which is gone when the server is. */
async function openScratch(
  shown: BackendView,
  { config, onFailure }: MountOptions,
  { disk }: ServerContext,
): Promise<Scratch> {
  const directory = mkdtempSync(join(tmpdir(), 'etcdkit-scratch-'));
  try {
    const upper = await BoltBackend.open(disk, join(directory, 'db'), { isNew: true });
    const cadence = new CommitCadence(upper, {
      intervalMs: config.backendBatchIntervalMs,
      changesMax: config.backendBatchLimit,
      onFailure,
    });
    const layers = new Layers(shown, upper);
    return {
      rows: {
        get: (bucket, key) => layers.get(bucket, key),
        scan: (bucket, range) => layers.scan(bucket, range),
        put(bucket, key, value) {
          layers.put(bucket, key, value);
          cadence.changed();
        },
        delete(bucket, key) {
          layers.delete(bucket, key);
          cadence.changed();
        },
      },
      async close() {
        cadence.stop();
        await upper.close().finally(() => rmSync(directory, { recursive: true, force: true }));
      },
    };
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

/** As the log says; a backup has none, and is one of its cluster's members. */
function identityOf(applier: Applier, name: string, metadata: Metadata | undefined): Identity {
  const members = applier.cluster.members();
  const ids = members.map(({ id }) => id);
  const memberId = metadata?.nodeId ?? ids[0] ?? 1n;
  const own = members.find(({ id }) => id === memberId);
  return { memberId, clusterId: metadata?.clusterId ?? clusterId(ids), name: own?.name ?? name };
}

function termOf(rows: BackendView): number {
  const value = rows.get('meta', TERM);
  return value ? indexOf(value, 'term') : 1;
}

function versionOf(rows: Backend): Version {
  const version = knownVersion(storageVersionOf(rows));
  return version === undefined || version === '3.4' ? '3.5' : version;
}
