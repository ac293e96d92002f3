/** A server that streams a backup, or what a test wants it to stream instead. */
import { snapshotResponse } from '../../src/format/proto/maintenance-service.ts';
import { type RpcServer, startServer } from '../../src/rpc/http2-server.ts';
import type { Methods, Stream } from '../../src/rpc/seam.ts';

export const BLOB_SIZE = 8192;

export interface Sent {
  database: Uint8Array;
  digest?: Uint8Array;
  /** Stops here instead of at the end. */
  endsAt?: number;
}

/** As etcd sends a database: in blobs, each with what is left, and the digest for itself. */
export async function sendBackup(
  stream: Stream,
  { database, digest, endsAt = Infinity }: Sent,
): Promise<void> {
  await stream.receive();
  const message = (blob: Uint8Array, remainingBytes: number): Uint8Array =>
    snapshotResponse.encode({ remainingBytes, blob, version: '3.6.0' });
  for (let at = 0; at < Math.min(endsAt, database.length); at += BLOB_SIZE) {
    const blob = database.subarray(at, at + BLOB_SIZE);
    if (!stream.send(message(blob, database.length - at - blob.length))) await stream.drained();
  }
  if (digest && endsAt === Infinity) stream.send(message(digest, 0));
}

export async function startSnapshotServer(
  snapshot: (stream: Stream) => Promise<void>,
  unary: Methods['unary'] = {},
): Promise<{ server: RpcServer; endpoint: string }> {
  const server = await startServer({
    listen: { host: '127.0.0.1', port: 0 },
    methods: [{ unary, stream: { '/etcdserverpb.Maintenance/Snapshot': snapshot } }],
    http1: (_, response) => response.end(),
  });
  return { server, endpoint: `http://127.0.0.1:${server.ports[0]}` };
}
