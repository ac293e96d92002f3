/**
 * The log of a running member: entries and states go out in one write a batch, and become durable by one data sync at a
 * time. Invariants: what lies behind the last record is zeros; a segment gets its name only when the one before is whole
 * and durable; after a sync has failed nothing succeeds any more, since nobody knows what the disk holds. A write that
 * fails (a full disk) leaves the log as it was before.
 * Rules: etcd v3.6 server/storage/wal/wal.go, storage.go.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Disk } from '../../bytes/disk.ts';
import { removeTree } from '../../bytes/replace.ts';
import { ToolError } from '../../errors.ts';
import type { Metadata } from '../../format/proto/memberpb.ts';
import type { HardState } from '../../format/proto/raftpb.ts';
import { type EntryInput, FrameBuffer, type FrameMark } from '../../format/wal/frames.ts';
import { SEGMENT_SIZE } from '../../format/wal/layout.ts';
import { formatSegmentName } from '../../format/wal/name.ts';
import type { Version } from '../../store/schema/buckets.ts';
import { type RaftSnapshot, saveSnapFile, snapPath, zerosOf } from '../../store/snap-file.ts';
import type { Log } from '../log.ts';
import type { OwnBatch } from '../start/own-entries.ts';
import { purgeLog, type Purged } from './purge.ts';
import { SegmentFile } from './segment-file.ts';

const WAL_MODE = 0o700;
/** How much of a segment is used when the next one begins to be filled: short-lived servers write no zeros for it. */
const FILL_SHARE = 1 / 4;

export interface RaftLogOptions {
  disk: Disk;
  walDir: string;
  snapDir: string;
  /** Whose bytes are written. */
  version: Version;
  log?: Log | undefined;
  /** After how many bytes the next segment begins. */
  segmentBytes?: number | undefined;
  /** Files that `purge` leaves; 0 keeps all. */
  snapshotsMax?: number | undefined;
  walsMax?: number | undefined;
  stats?: LogStats | undefined;
}

/** What is counted of writing, as metrics ask for it. */
export interface LogStats {
  walWriteBytes: number;
  /** Seconds. */
  readonly walWrite: { observe(seconds: number): void };
  readonly snapFsync: { observe(seconds: number): void };
}

/** Where an existing log goes on. */
export interface LogTail {
  metadata: Metadata;
  state: HardState | undefined;
  lastIndex: number;
  /** The last segment. */
  path: string;
  sequence: number;
  offset: number;
  crc: number;
}

const NO_STATE: HardState = { term: 0, vote: 0n, commit: 0 };

export class RaftLog {
  readonly #options: RaftLogOptions;
  readonly #disk: Disk;
  readonly #segmentBytes: number;
  readonly #metadata: Metadata;
  readonly #frames: FrameBuffer;
  /** Where the buffer stands when all of it is written. */
  #written: FrameMark;
  #file: SegmentFile;
  #sequence: number;
  #next: SegmentFile | undefined;
  #nextCount = 0;
  #isFilling = false;
  #state: HardState;
  #lastIndex: number;
  /** Index of the last snapshot; nothing at or before it is needed. */
  #released = 0;
  #isDirty = false;
  #syncing: Promise<void> | undefined;
  #queued: Promise<void> | undefined;
  #cutting: Promise<void> | undefined;
  #failure: ToolError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: RaftLogOptions, tail: LogTail, file: SegmentFile) {
    this.#options = options;
    this.#disk = options.disk;
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_SIZE;
    this.#metadata = tail.metadata;
    this.#state = tail.state ?? NO_STATE;
    this.#lastIndex = tail.lastIndex;
    this.#sequence = tail.sequence;
    this.#file = file;
    this.#frames = new FrameBuffer({ zeros: zerosOf(options.version), crc: tail.crc });
    this.#written = this.#frames.mark();
    file.use();
    this.#prepare();
  }

  /**
   * A new log that begins with `batches`, durable as a whole: it is built beside its place. Throws `io.` errors, also
   * when there is something in its place.
   */
  static create(options: RaftLogOptions & { metadata: Metadata; batches?: readonly OwnBatch[] }): RaftLog {
    const { disk, walDir, metadata, batches = [], segmentBytes = SEGMENT_SIZE } = options;
    const temporary = `${walDir}.tmp`;
    removeTree(disk, temporary);
    disk.makeDirectory(temporary, WAL_MODE);
    const name = formatSegmentName({ sequence: 0, index: 0 });
    const frames = new FrameBuffer({ zeros: zerosOf(options.version), crc: 0 });
    frames.crcRecord().metadata(metadata).snapshot({ index: 0, term: 0 });
    let state: HardState | undefined;
    for (const batch of batches) {
      for (const entry of batch.entries) frames.entry(entry);
      if (batch.state) frames.state(batch.state);
      state = batch.state ?? state;
    }
    const lastIndex = batches.flatMap(({ entries }) => entries).at(-1)?.index ?? 0;
    const file = SegmentFile.create(disk, join(temporary, name), segmentBytes);
    try {
      file.append(frames.view(), () => {});
      disk.sync(file.fd);
      disk.syncDirectory(temporary);
      if (existsSync(walDir)) disk.removeDirectory(walDir);
      disk.rename(temporary, walDir);
      disk.syncDirectory(dirname(walDir));
    } catch (error) {
      disk.close(file.fd);
      throw error;
    }
    file.path = join(walDir, name);
    const place = { path: file.path, sequence: 0, offset: file.offset, crc: frames.crc };
    return new RaftLog(options, { metadata, state, lastIndex, ...place }, file);
  }

  /** Goes on with an existing log, behind whose last record there are only zeros. */
  static open(options: RaftLogOptions & { tail: LogTail }): RaftLog {
    const { disk, tail, segmentBytes = SEGMENT_SIZE } = options;
    const { path, offset } = tail;
    return new RaftLog(options, tail, SegmentFile.open(disk, path, { offset, sizeBytes: segmentBytes }));
  }

  /** Of the last entry. */
  get lastIndex(): number {
    return this.#lastIndex;
  }

  /** Whether nothing can be appended any more. */
  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** The last one that was appended. */
  get state(): Readonly<HardState> {
    return this.#state;
  }

  /**
   * Appends entries, then the state when it says something new; durable after the next `sync`. An entry whose index is
   * there already takes its place, and those behind it are gone. Throws, with nothing appended; after `io.no-space` the
   * same may be tried again.
   */
  append(entries: readonly EntryInput[], state?: HardState): void {
    this.#check();
    let last = this.#lastIndex;
    this.#frames.reset(this.#written);
    for (const entry of entries) {
      if (entry.index > last + 1) throw new TypeError(`entry ${entry.index} does not follow ${last}`);
      last = entry.index;
      this.#frames.entry(entry);
    }
    const isChanged = state !== undefined && !isSame(state, this.#state);
    if (isChanged) this.#frames.state(state);
    this.#write();
    this.#lastIndex = last;
    if (isChanged) this.#state = { ...state };
    this.#cutIfFull();
  }

  /** Makes durable what was appended before the call. Calls that come meanwhile share the next one. */
  sync(): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#queued) return this.#queued;
    if (!this.#syncing) return this.#beginSync();
    this.#queued = this.#syncing.then(() => this.#beginSync());
    // Whoever asked is told; one that was told by the sync before does not look again.
    this.#queued.catch(() => {});
    return this.#queued;
  }

  /**
   * The same on this thread, which is quicker where the disk is quicker than a change of threads. Gives false when
   * something is under way that it would have to wait for.
   */
  syncHere(): boolean {
    this.#check();
    if (this.#syncing || this.#queued || this.#cutting) return false;
    if (!this.#isDirty) return true;
    this.#isDirty = false;
    try {
      this.#file.syncHere();
      return true;
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /**
   * Writes a snapshot's file, then its record into the log, both durable. The backend must have committed what the
   * snapshot stands for.
   */
  async saveSnapshot(snapshot: RaftSnapshot): Promise<void> {
    this.#check();
    const { disk, snapDir, version } = this.#options;
    const began = performance.now();
    await saveSnapFile(disk, snapPath(snapDir, snapshot), { snapshot, zeros: zerosOf(version) });
    this.#options.stats?.snapFsync.observe((performance.now() - began) / 1000);
    this.#check();
    const { index, term, confState } = snapshot;
    // A server starts only from snapshots that the log says are committed.
    const state = { ...this.#state, commit: Math.max(this.#state.commit, index) };
    if (!isSame(state, this.#state)) this.#frames.state(state);
    this.#frames.snapshot({ index, term, ...(version === '3.4' ? {} : { confState }) });
    this.#write();
    this.#state = state;
    await this.sync();
  }

  /** Says that a saved snapshot stands for everything up to `index`. */
  release(index: number): void {
    this.#released = Math.max(this.#released, index);
  }

  /** Removes snapshots and segments that are old and not needed; as etcd does every 30 s. */
  purge(): Purged {
    const { disk, walDir, snapDir, log, snapshotsMax = 5, walsMax = 5 } = this.#options;
    return purgeLog({ disk, walDir, snapDir, log, snapshotsMax, walsMax, released: this.#released });
  }

  /** Makes everything durable and closes the files; nothing is left of the segment that was to come. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const hadFailed = this.#failure !== undefined;
    try {
      await this.sync();
    } catch (error) {
      // One that has failed before has said so.
      if (!hadFailed) throw error;
    } finally {
      this.#failure ??= new ToolError('server.stopped', 'the log is closed');
      await this.#cutting?.catch(() => {});
      await this.#file.close();
      await this.#next?.discard();
    }
  }

  #check(): void {
    if (this.#failure) throw this.#failure;
  }

  #fail(error: unknown): ToolError {
    const reason = error instanceof Error ? error.message : String(error);
    this.#failure ??= new ToolError('server.log', `the log cannot be trusted any more: ${reason}`, {
      where: { file: this.#file.path },
      cause: error,
      hint: 'stop the server, look at the disk, and start again: what was acknowledged is in the log',
    });
    return this.#failure;
  }

  /** Writes what is in the buffer; when that fails, buffer and file are as before. */
  #write(): void {
    const frames = this.#frames;
    if (frames.size === 0) return;
    const { stats } = this.#options;
    const began = stats ? performance.now() : 0;
    try {
      this.#file.append(frames.view(), (error) => this.#fail(error));
    } catch (error) {
      frames.reset(this.#written);
      throw error;
    }
    if (stats) {
      stats.walWriteBytes += frames.size;
      stats.walWrite.observe((performance.now() - began) / 1000);
    }
    frames.clear();
    this.#written = frames.mark();
    this.#isDirty = true;
  }

  #beginSync(): Promise<void> {
    this.#queued = undefined;
    const run = this.#syncNow().finally(() => {
      if (this.#syncing === run) this.#syncing = undefined;
    });
    this.#syncing = run;
    return run;
  }

  async #syncNow(): Promise<void> {
    try {
      while (this.#cutting) await this.#cutting;
      if (!this.#isDirty) return;
      this.#isDirty = false;
      await this.#file.sync();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Makes the next segment, if there is room for it. */
  #prepare(): void {
    if (this.#failure || this.#next) return;
    const { disk, walDir, log } = this.#options;
    try {
      this.#next = SegmentFile.createNext(disk, walDir, this.#nextCount++, this.#segmentBytes);
    } catch (error) {
      log?.warn({ error }, 'there is no room for the next segment of the log');
    }
    this.#isFilling = false;
  }

  #cutIfFull(): void {
    const { offset } = this.#file;
    if (!this.#isFilling && offset > this.#segmentBytes * FILL_SHARE) {
      this.#isFilling = true;
      this.#next?.fill();
    }
    if (offset < this.#segmentBytes || this.#cutting) return;
    this.#prepare();
    const next = this.#next;
    // Without room for another, this one grows.
    if (!next) return;
    const frames = this.#frames;
    frames.crcRecord().metadata(this.#metadata);
    if (!isSame(this.#state, NO_STATE)) frames.state(this.#state);
    this.#next = undefined;
    try {
      next.append(frames.view(), () => {});
    } catch {
      frames.reset(this.#written);
      void next.discard().catch(() => {});
      return;
    }
    frames.clear();
    this.#written = frames.mark();
    const old = this.#file;
    this.#file = next;
    next.use();
    this.#sequence++;
    const name = formatSegmentName({ sequence: this.#sequence, index: this.#lastIndex + 1 });
    this.#cutting = this.#finish(old, next, join(this.#options.walDir, name));
    // Whoever syncs is told.
    this.#cutting.catch(() => {});
  }

  /** Only when `old` is durable may a reader find the segment behind it. */
  async #finish(old: SegmentFile, next: SegmentFile, path: string): Promise<void> {
    try {
      await old.finish();
      await next.sync();
      this.#disk.rename(next.path, path);
      next.path = path;
      this.#disk.syncDirectory(this.#options.walDir);
    } catch (error) {
      throw this.#fail(error);
    } finally {
      this.#cutting = undefined;
    }
    this.#prepare();
  }
}

function isSame(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote && a.commit === b.commit;
}
