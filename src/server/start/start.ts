/**
 * Opens a member's directory for this process alone: a new one, or one that etcd or we left, cleanly or killed. Nothing
 * is changed before it is known that it can be opened; a damaged one is refused with what verify finds in it.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { entryAt, listNames } from '../../bytes/directory.ts';
import type { Disk } from '../../bytes/disk.ts';
import { isTemporaryName } from '../../bytes/replace.ts';
import { isLockedByOther, type Lock, lockExclusive } from '../../bytes/lock.ts';
import { CorruptError, RefusedError } from '../../errors.ts';
import { DATABASE_NAME, MEMBER_DIRECTORY, SNAP_DIRECTORY, WAL_DIRECTORY } from '../../format/datadir.ts';
import { parseSegmentName } from '../../format/wal/name.ts';
import { verify } from '../../check/verify.ts';
import type { BackendView, DurableBackend } from '../../store/backend/backend.ts';
import { BoltBackend } from '../../store/backend/bolt.ts';
import { BoltView } from '../../store/backend/bolt-view.ts';
import { openDatabase } from '../../store/database.ts';
import type { Log } from '../log.ts';
import { startNewMember } from './bootstrap.ts';
import { assertUsable, startExistingMember } from './existing.ts';
import { assertOneVoter, membersOf } from './forced.ts';
import { type MemberFiles, readMemberFiles, receivedName } from './member-files.ts';
import type { MemberPaths, OpenedMember, OpenMemberOptions, StartedMember } from './member-options.ts';

const DIRECTORY_MODE = 0o700;
/** One try. */
const LOCK_TIMEOUT_MS = 1;
const FINDINGS_TOLD = 20;

/**
 * Throws `lock.held`, `server.auth`, `server.cluster`, `server.config`, `log.start`; `CorruptError` for a damaged
 * directory; whatever `firstMember` throws for a new one.
 */
export async function openMember(options: OpenMemberOptions): Promise<OpenedMember> {
  const paths = pathsOf(options);
  const isNew = !hasLog(paths.walDir);
  if (isNew) prepareNew(paths, options.disk);
  assertLogUnlocked(paths.walDir);
  const lock = new DatabaseLock(paths.database, options);
  await lock.take();
  try {
    const started = isNew ? await openNew(paths, lock, options) : await openExisting(paths, lock, options);
    removeLeftOvers(paths, options);
    return {
      ...started,
      paths,
      async release() {
        try {
          sayCommitted(started);
          await started.log.close();
        } finally {
          await started.backend.close();
        }
      },
    };
  } catch (error) {
    lock.release();
    throw isNew ? error : await toldByVerify(error, paths, options);
  }
}

/** Nobody else writes here as long as the lock is held, so what is unfinished stays so. */
function removeLeftOvers({ snapDir, walDir }: MemberPaths, { disk, log }: OpenMemberOptions): void {
  for (const directory of [snapDir, walDir]) {
    for (const name of listNames(directory).filter(isTemporaryName)) {
      const path = join(directory, name);
      try {
        disk.remove(path);
        log.info({ path }, 'removed what a process that was killed had not finished');
      } catch (error) {
        log.warn({ path, error }, 'failed to remove what a process that was killed had not finished');
      }
    }
  }
}

/** What was applied was durable before. A log that has failed says so when it is closed. */
function sayCommitted({ log, applier }: StartedMember): void {
  const commit = Math.min(applier.consistentIndex, log.lastIndex);
  if (commit > log.state.commit && !log.hasFailed) log.append([], { ...log.state, commit });
}

function pathsOf({ dataDir, walDir }: OpenMemberOptions): MemberPaths {
  const memberDir = join(dataDir, MEMBER_DIRECTORY);
  const snapDir = join(memberDir, SNAP_DIRECTORY);
  return {
    dataDir,
    memberDir,
    snapDir,
    walDir: walDir ?? join(memberDir, WAL_DIRECTORY),
    database: join(snapDir, DATABASE_NAME),
  };
}

function hasLog(walDir: string): boolean {
  return listNames(walDir).some((name) => parseSegmentName(name));
}

/** Makes the directories of a new member. Throws `log.start` when a database is there that once had a log. */
function prepareNew({ dataDir, memberDir, snapDir, walDir, database }: MemberPaths, disk: Disk): void {
  if (existsSync(database)) {
    const source = openDatabase(database);
    try {
      const view = new BoltView(source.source);
      const hasKeys = view.scan('key')[Symbol.iterator]().next().done !== true;
      if (hasKeys || view.get('meta', Buffer.from('consistent_index'))) throw noLog(walDir, database);
    } finally {
      source.close();
    }
  }
  for (const directory of [dataDir, memberDir, snapDir, dirname(walDir)]) makeDirectories(directory, disk);
}

function noLog(walDir: string, database: string): RefusedError {
  return new RefusedError(
    'log.start',
    `there is no log at ${walDir}, but ${database} holds data: a new cluster would begin on it`,
    {
      where: { file: walDir },
      hint: 'give --wal-dir if the log is elsewhere; without it, make a new directory of the database: etcdkit snapshot restore',
    },
  );
}

function makeDirectories(path: string, disk: Disk): void {
  if (entryAt(path)) return;
  if (dirname(path) !== path) makeDirectories(dirname(path), disk);
  disk.makeDirectory(path, DIRECTORY_MODE);
  disk.syncDirectory(dirname(path));
}

/** An etcd locks the segments that it may still need. */
function assertLogUnlocked(walDir: string): void {
  for (const name of listNames(walDir)) {
    if (!parseSegmentName(name) || !isLockedByOther(join(walDir, name))) continue;
    throw new RefusedError('lock.held', `${join(walDir, name)} is locked: an etcd is running on it`, {
      where: { file: walDir },
      hint: 'stop that etcd first',
    });
  }
}

/** The lock on the database that etcd takes too, held from before the first look until a backend has it. */
class DatabaseLock {
  readonly #path: string;
  readonly #allowUnlocked: boolean;
  readonly #timeoutMs: number;
  readonly #log: Log;
  #lock: Lock | undefined;

  constructor(path: string, options: OpenMemberOptions) {
    const { allowUnlocked = false, lockTimeoutMs = LOCK_TIMEOUT_MS, log } = options;
    this.#path = path;
    this.#allowUnlocked = allowUnlocked;
    this.#timeoutMs = lockTimeoutMs;
    this.#log = log;
  }

  /** Does nothing when there is nothing to lock yet. */
  async take(): Promise<void> {
    this.release();
    if (existsSync(this.#path)) this.#lock = await this.#lockOn(this.#path);
  }

  release(): void {
    this.#lock?.release();
    this.#lock = undefined;
  }

  /** For a backend, which owns what it gets: this lock for the database, another one for what takes its place. */
  readonly hand = async (path: string): Promise<Lock> => {
    const held = path === this.#path ? this.#lock : undefined;
    if (held) this.#lock = undefined;
    return held ?? (await this.#lockOn(path));
  };

  #lockOn(path: string): Promise<Lock> {
    const onWait = (): void => this.#log.warn({ path }, 'waiting for the lock that another process holds');
    return lockExclusive(path, { timeoutMs: this.#timeoutMs, allowUnlocked: this.#allowUnlocked, onWait });
  }
}

async function withBackend(
  { database }: MemberPaths,
  { lock, isNew }: { lock: DatabaseLock; isNew: boolean },
  { disk, pacer, openBackend = openBolt }: OpenMemberOptions,
  start: (backend: DurableBackend) => Promise<StartedMember>,
): Promise<StartedMember> {
  const backend = await openBackend(disk, database, { pacer, isNew, lock: lock.hand });
  try {
    return await start(backend);
  } catch (error) {
    await backend.close().catch(() => {});
    throw error;
  }
}

const openBolt: NonNullable<OpenMemberOptions['openBackend']> = (disk, path, options) =>
  BoltBackend.open(disk, path, options);

function openNew(paths: MemberPaths, lock: DatabaseLock, options: OpenMemberOptions): Promise<StartedMember> {
  const isNew = !existsSync(paths.database);
  return withBackend(paths, { lock, isNew }, options, (backend) => startNewMember(backend, paths, options));
}

async function openExisting(
  paths: MemberPaths,
  lock: DatabaseLock,
  options: OpenMemberOptions,
): Promise<StartedMember> {
  let files = await readMemberFiles(paths, options.pacer);
  if (takeReceived(files, options)) {
    await lock.take();
    files = await readMemberFiles(paths, options.pacer);
  }
  assertUsable(files);
  if (!options.isForcedNew) await assertAlone(files, options);
  const isNew = files.schema === undefined;
  const started = await withBackend(paths, { lock, isNew }, options, (backend) =>
    startExistingMember(backend, files, options),
  );
  setAside(files, options);
  return started;
}

/** Raft snapshots that nobody can read: an etcd that is killed while it writes one leaves it so, and names it so. */
function setAside({ brokenSnaps, paths }: MemberFiles, { disk, log }: OpenMemberOptions): void {
  for (const { name, error } of brokenSnaps) {
    const path = join(paths.snapDir, name);
    const broken = `${path}.broken`;
    log.warn({ path, error, 'broken-path': broken }, 'failed to read a snap file; it is passed over');
    try {
      disk.rename(path, broken);
    } catch (failure) {
      log.warn({ path, error: failure }, 'failed to rename a broken snap file');
    }
  }
}

/** A database that a leader sent takes the old one's place when its snapshot is in the log; gives whether it did. */
function takeReceived(
  { schema, snap, snapNames, paths }: MemberFiles,
  { disk, log }: OpenMemberOptions,
): boolean {
  if (!snap || snap.index <= (schema?.consistentIndex ?? 0)) return false;
  const name = receivedName(snap.index);
  if (!snapNames.includes(name)) return false;
  log.info(
    { path: join(paths.snapDir, name) },
    'the database that came with the last snapshot takes its place',
  );
  disk.rename(join(paths.snapDir, name), paths.database);
  disk.syncDirectory(paths.snapDir);
  return true;
}

async function assertAlone(files: MemberFiles, { log }: OpenMemberOptions): Promise<void> {
  const check = async (view: BackendView): Promise<void> =>
    assertOneVoter(await membersOf(view, files), files, log);
  if (!files.schema) return check(EMPTY);
  const database = openDatabase(files.paths.database);
  try {
    await check(new BoltView(database.source));
  } finally {
    database.close();
  }
}

const EMPTY: BackendView = { get: () => undefined, scan: () => [] };

/** Of a damaged directory, everything that is wrong with it. */
async function toldByVerify(
  error: unknown,
  { dataDir, walDir }: MemberPaths,
  { log }: OpenMemberOptions,
): Promise<unknown> {
  if (!(error instanceof CorruptError)) return error;
  const report = await verify(dataDir, { walDir });
  const damage = report.findings.filter(({ severity }) => severity !== 'note');
  if (damage.length === 0) return error;
  for (const { code, where, message } of damage.slice(0, FINDINGS_TOLD)) log.warn({ code, where }, message);
  const [first] = damage;
  const more = report.damageCount > 1 ? ` (the first of ${report.damageCount} findings)` : '';
  return new CorruptError(first!.code, `${dataDir} is damaged: ${first!.message}${more}`, {
    where: first!.where,
    hint: `see all of it with etcdkit snapshot verify ${dataDir}; ${report.next}`,
    cause: error,
  });
}
