/**
 * `.snap` files: name, checksum, and the raft snapshot within; offset table in README.md. What the snapshot's
 * `data` says is `v2store.ts`'s business. etcd v3.6 server/etcdserver/api/snap/snapshotter.go.
 */
import { CorruptError, type Where } from '../../errors.ts';
import { crc32c } from '../../bytes/crc32c.ts';
import { readAt, type Source } from '../../bytes/source.ts';
import type { Input, Zeros } from '../proto/field.ts';
import { type Snapshot, snapshot as snapshotMessage } from '../proto/raftpb.ts';
import { envelope } from '../proto/snappb.ts';

/** What a `.snap` file is named by. */
export interface SnapName {
  term: number;
  index: number;
}

/** What a file holds: the v2 store in `data`, and the snapshot's place in the log in `metadata`. */
export type SnapFile = Snapshot;

/** Mostly some 10 KB; a v2 store of old user data can be large, but not this large. */
const FILE_SIZE_MAX = 2 ** 30;
const NAME = /^([0-9a-f]{16})-([0-9a-f]{16})\.snap$/;

export function formatSnapName({ term, index }: SnapName): string {
  return `${hex16(term)}-${hex16(index)}.snap`;
}

/** undefined when `name` is not that of a `.snap` file. */
export function parseSnapName(name: string): SnapName | undefined {
  const found = NAME.exec(name);
  if (!found) return undefined;
  const term = Number.parseInt(found[1]!, 16);
  const index = Number.parseInt(found[2]!, 16);
  return Number.isSafeInteger(term) && Number.isSafeInteger(index) ? { term, index } : undefined;
}

function hex16(value: number): string {
  return value.toString(16).padStart(16, '0');
}

/** Reads and decodes a whole file. */
export function readSnapFile(source: Source): SnapFile {
  const where = { file: source.name };
  if (source.size > FILE_SIZE_MAX) {
    throw new CorruptError('snap.malformed', `${source.size} bytes are more than any .snap file has`, {
      where,
    });
  }
  return decodeSnapFile(readAt(source, 0, source.size), where);
}

/** Throws `snap.empty`, `snap.crc` or `snap.malformed`. Byte fields are views of `bytes`. */
export function decodeSnapFile(bytes: Uint8Array, where: Where = {}): SnapFile {
  if (bytes.length === 0) throw empty('the file is empty', where);
  const { crc, data } = decodePart(() => envelope.decode(bytes, where));
  if (data === undefined || data.length === 0) throw empty('the file holds no snapshot', where);
  if (crc === 0) throw empty('the file holds no checksum', where);
  const computed = crc32c(data);
  if (computed !== crc) {
    throw new CorruptError(
      'snap.crc',
      `the file says ${hex8(crc)}, but its content hashes to ${hex8(computed)}`,
      {
        where,
        upstream: 'snap: crc mismatch',
      },
    );
  }
  const offset = (where.offset ?? 0) + data.byteOffset - bytes.byteOffset;
  return decodePart(() => snapshotMessage.decode(data, { ...where, offset }));
}

function empty(message: string, where: Where): CorruptError {
  return new CorruptError('snap.empty', message, { where, upstream: 'snap: empty snapshot' });
}

function decodePart<V>(decode: () => V): V {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof CorruptError)) throw error;
    throw new CorruptError('snap.malformed', error.message, {
      ...(error.where ? { where: error.where } : {}),
      cause: error,
    });
  }
}

function hex8(crc: number): string {
  return `0x${crc.toString(16).padStart(8, '0')}`;
}

/** The bytes of a file; `zeros` as the target etcd writes them. */
export function encodeSnapFile(snapshot: Input<SnapFile>, options: { zeros: Zeros }): Uint8Array {
  const data = snapshotMessage.encode(snapshot, options);
  return envelope.encode({ crc: crc32c(data), data }, options);
}
