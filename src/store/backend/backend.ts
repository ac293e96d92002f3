/** Buckets of rows in byte order: what etcd's state lies in, whatever holds it. */

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
