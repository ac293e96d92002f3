/**
 * One segment that is written: its descriptor, where it ends, and the zeros ahead of that. The next one lies ready as
 * `N.tmp`, as etcd has it, and gets its name when the one before is whole and durable.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Disk } from '../../bytes/disk.ts';
import { ZeroFill } from './zero-fill.ts';

const SEGMENT_MODE = 0o600;
/** etcd takes these two in turn. */
const NEXT_NAMES = ['0.tmp', '1.tmp'] as const;

export class SegmentFile {
  readonly #disk: Disk;
  readonly #fill: ZeroFill;
  readonly fd: number;
  path: string;
  /** Behind the last record. */
  offset: number;
  /** A data sync that is under way; it never rejects. */
  pending: Promise<void> | undefined;

  private constructor(disk: Disk, fd: number, place: { path: string; offset: number; sizeBytes: number }) {
    this.#disk = disk;
    this.fd = fd;
    this.path = place.path;
    this.offset = place.offset;
    const isNew = place.offset === 0;
    this.#fill = new ZeroFill(disk, fd, { from: place.offset, to: place.sizeBytes, isSynced: isNew });
  }

  /** A new file of zeros, not filled yet. */
  static create(disk: Disk, path: string, sizeBytes: number): SegmentFile {
    const fd = disk.create(path, SEGMENT_MODE);
    try {
      disk.truncate(fd, sizeBytes);
    } catch (error) {
      disk.close(fd);
      disk.remove(path);
      throw error;
    }
    return new SegmentFile(disk, fd, { path, offset: 0, sizeBytes });
  }

  /** The one after next to come, under a name that readers ignore. */
  static createNext(disk: Disk, walDir: string, count: number, sizeBytes: number): SegmentFile {
    const path = join(walDir, NEXT_NAMES[count % NEXT_NAMES.length]!);
    for (const name of count === 0 ? NEXT_NAMES : [])
      if (existsSync(join(walDir, name))) disk.remove(join(walDir, name));
    return SegmentFile.create(disk, path, sizeBytes);
  }

  /** An existing file that ends at `offset`: nothing but zeros may lie behind that. */
  static open(disk: Disk, path: string, place: { offset: number; sizeBytes: number }): SegmentFile {
    const fd = disk.openForUpdate(path);
    try {
      if (place.offset < place.sizeBytes) disk.truncate(fd, place.sizeBytes);
    } catch {
      // Room for later; without it the file grows as it is written.
    }
    return new SegmentFile(disk, fd, { path, ...place });
  }

  /** Begins to fill all of it with zeros. */
  fill(): void {
    this.#fill.start();
  }

  /** It is the one that is written from now on. */
  use(): void {
    this.#fill.follow(() => this.offset);
    this.#fill.start();
  }

  /** Appends. When that fails, what got through is cut off again; `onBroken` is told when that fails too. */
  append(bytes: Uint8Array, onBroken: (error: unknown) => void): void {
    try {
      this.#disk.write(this.fd, bytes, this.offset);
    } catch (error) {
      void this.#fill.stop();
      try {
        this.#disk.truncate(this.fd, this.offset);
      } catch (second) {
        onBroken(second);
      }
      throw error;
    }
    this.offset += bytes.length;
    this.#fill.start();
  }

  /** Makes what was appended durable. */
  sync(): Promise<void> {
    const syncing = this.#disk.startDataSync(this.fd);
    this.pending = syncing.catch(() => {});
    return syncing;
  }

  /** The same on this thread; nothing else may be under way. */
  syncHere(): void {
    this.#disk.dataSync(this.fd);
  }

  /** Cuts it to what is used, makes that durable, and closes it. */
  async finish(): Promise<void> {
    await this.pending;
    await this.#fill.stop();
    this.#disk.truncate(this.fd, this.offset);
    await this.#disk.startSync(this.fd);
    this.#disk.close(this.fd);
  }

  async close(): Promise<void> {
    await this.pending;
    await this.#fill.stop();
    this.#disk.close(this.fd);
  }

  /** Closes it and removes it. */
  async discard(): Promise<void> {
    await this.close();
    this.#disk.remove(this.path);
  }
}
