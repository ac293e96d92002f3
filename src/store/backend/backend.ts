/** Buckets of rows in byte order: what etcd's state lies in, whatever holds it. */
import type { Source } from '../../bytes/source.ts';

export interface Pair {
  key: Uint8Array;
  value: Uint8Array;
}

export interface ScanRange {
  /** The first key; all from the beginning without it. */
  from?: Uint8Array | undefined;
  /** The first key that is not wanted. */
  to?: Uint8Array | undefined;
}

/** Buckets that do not exist have no rows. */
export interface BackendView {
  /** The value; it must not be changed. Undefined when there is no such row. */
  get(bucket: string, key: Uint8Array): Uint8Array | undefined;
  /** Rows in byte order. A row is valid until the next one; nobody may write to the bucket meanwhile. */
  scan(bucket: string, range?: ScanRange): Iterable<Pair>;
}

/** Key and value are the backend's from then on; nobody may change them. */
export interface Backend extends BackendView {
  put(bucket: string, key: Uint8Array, value: Uint8Array): void;
  delete(bucket: string, key: Uint8Array): void;
}

/** A backend in a file. What was put is seen at once, and survives a crash once a commit has ended. */
export interface DurableBackend extends Backend {
  /** Of the file up to the last page ever used. */
  readonly sizeBytes: number;
  /** Of it, in pages that the live state needs. */
  readonly inUseBytes: number;
  /** Changes that no commit has begun to write. */
  readonly pendingCount: number;
  /**
   * Makes durable all that was put before the call; what is put meanwhile belongs to the next one. Calls wait for each
   * other. Once one has failed every later one does, since nobody knows what the disk holds.
   */
  commit(): Promise<void>;
  /** Commits, and gives that state as it stays, whatever is committed later. */
  openView(): Promise<DurableView>;
  /** Rewrites the file without its free pages. Reads go on, changes wait for nothing but are committed afterwards. */
  defrag(): Promise<void>;
  /** Commits and closes. Views should be closed before: whoever opens the file again does not know of them. */
  close(): Promise<void>;
}

/** One committed state, to be closed: pages it needs are not reused before. */
export interface DurableView {
  /** Reads as a database file of that state, without a trailer: what `etcdctl snapshot save` writes before its SHA-256. */
  readonly source: Source;
  close(): void;
}
