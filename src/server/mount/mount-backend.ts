/**
 * What is mounted, as the services see it: rows that come from a file nobody writes to, with what a log or a client
 * adds in memory or in a file that is thrown away. Nothing is ever committed to what was mounted.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Disk } from '../../bytes/disk.ts';
import { Pacer } from '../../bytes/pacer.ts';
import { FileSource, startOf } from '../../bytes/source.ts';
import { BulkWriter } from '../../format/bolt/bulk.ts';
import type { Backend, DurableBackend, DurableView, Pair, ScanRange } from '../../store/backend/backend.ts';
import type { Database } from '../../store/database.ts';
import { BUCKETS } from '../../store/schema/buckets.ts';
import { readOnlyError } from '../rpc-errors.ts';

const FILE_MODE = 0o600;
const FIRST_TXID = 2n;

export interface MountBackendOptions {
  disk: Disk;
  database: Database;
  /** Everything that is shown. */
  rows: Backend;
  /** Whether the file alone is what is shown. */
  isFileWhole: () => boolean;
  /** Ends what lies over the file. */
  close(): Promise<void>;
}

export class MountBackend implements DurableBackend {
  readonly #options: MountBackendOptions;
  #copies = new Set<Promise<unknown>>();

  constructor(options: MountBackendOptions) {
    this.#options = options;
  }

  get sizeBytes(): number {
    return this.#options.database.bolt.sizeBytes;
  }

  /** Which of its pages are free nobody has looked for. */
  get inUseBytes(): number {
    return this.sizeBytes;
  }

  get pendingCount(): number {
    return 0;
  }

  /** Whether copies are being made: nobody may change rows meanwhile. */
  get isCopying(): boolean {
    return this.#copies.size > 0;
  }

  /** Resolves when no copy is being made. */
  async settled(): Promise<void> {
    while (this.isCopying) await Promise.allSettled(this.#copies);
  }

  get(bucket: string, key: Uint8Array): Uint8Array | undefined {
    return this.#options.rows.get(bucket, key);
  }

  scan(bucket: string, range?: ScanRange): Iterable<Pair> {
    return this.#options.rows.scan(bucket, range);
  }

  put(bucket: string, key: Uint8Array, value: Uint8Array): void {
    this.#options.rows.put(bucket, key, value);
  }

  delete(bucket: string, key: Uint8Array): void {
    this.#options.rows.delete(bucket, key);
  }

  async commit(): Promise<void> {}

  /** The file itself where nothing was added to it, otherwise a copy with all that is shown. */
  async openView(): Promise<DurableView> {
    const { database, isFileWhole } = this.#options;
    if (!isFileWhole()) {
      const copy = this.#copy();
      this.#copies.add(copy);
      return copy.finally(() => this.#copies.delete(copy));
    }
    const source = startOf(new FileSource(database.path), database.bolt.sizeBytes);
    return { source, close: () => source.close() };
  }

  async #copy(): Promise<DurableView> {
    const { disk, database } = this.#options;
    const directory = mkdtempSync(join(tmpdir(), 'etcdkit-view-'));
    const path = join(directory, 'db');
    try {
      const fd = disk.create(path, FILE_MODE);
      try {
        const output = { write: (bytes: Uint8Array, at: number): void => disk.write(fd, bytes, at) };
        await this.#write(new BulkWriter(output, { pageSize: database.bolt.live.pageSize }));
      } finally {
        disk.close(fd);
      }
      const source = new FileSource(path);
      return { source, close: () => source.close() };
    } finally {
      // An open file stays readable without a name.
      rmSync(directory, { recursive: true, force: true });
    }
  }

  async #write(writer: BulkWriter): Promise<void> {
    const pacer = new Pacer();
    for (const bucket of BUCKETS) {
      writer.beginBucket(Buffer.from(bucket));
      for (const { key, value } of this.scan(bucket)) {
        writer.addPair(key, value);
        if (pacer.isDue()) await pacer.rest();
      }
      writer.endBucket();
    }
    writer.finish({ txid: FIRST_TXID });
  }

  async defrag(): Promise<void> {
    throw readOnlyError();
  }

  async close(): Promise<void> {
    await this.#options.close();
    this.#options.database.close();
  }
}
