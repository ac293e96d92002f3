/**
 * The stream that `etcdctl snapshot save` writes to a file: a database as it was when the call came, then its SHA-256.
 * etcd v3.6 server/etcdserver/api/v3rpc/maintenance.go.
 */
import { createHash } from 'node:crypto';
import { Pacer } from '../../bytes/pacer.ts';
import type { Source } from '../../bytes/source.ts';
import { snapshotRequest, snapshotResponse } from '../../format/proto/maintenance-service.ts';
import type { Stream, StreamHandler } from '../../rpc/seam.ts';
import type { Core } from '../core.ts';
import { storedVersionOf } from '../versions.ts';
import { sendWaiting, serverStream } from './method.ts';

const BLOB_BYTES = 32 << 10;

interface SnapshotOptions {
  /** Since 3.6 every message names the storage's version. */
  isVersionSent: boolean;
  /** Told how long each stream took. */
  onEnd?: (tookMs: number) => void;
}

export function snapshotHandler(core: Core, { isVersionSent, onEnd }: SnapshotOptions): StreamHandler {
  return serverStream(snapshotRequest, async (_request, call) => {
    const version = isVersionSent ? storedVersionOf(core.backend) : '';
    const view = await core.backend.openView();
    const startedAt = performance.now();
    try {
      const size = { 'total-bytes': view.source.size, 'storage-version': version };
      core.log.info(size, 'sending database snapshot to client');
      const isSent = await sendDatabase(view.source, version, call);
      const took = { ...size, 'took-ms': Math.round(performance.now() - startedAt) };
      if (isSent) core.log.info(took, 'successfully sent database snapshot to client');
      else core.log.warn(took, 'the client gave up a database snapshot');
    } finally {
      view.close();
      onEnd?.(performance.now() - startedAt);
    }
  });
}

/** False when the call ended before all was sent. */
async function sendDatabase(source: Source, version: string, call: Stream): Promise<boolean> {
  const pacer = new Pacer();
  const hash = createHash('sha256');
  const buffer = new Uint8Array(BLOB_BYTES);
  for (let sent = 0; sent < source.size && !call.signal.aborted;) {
    // Encoding copies it.
    const blob = buffer.subarray(0, Math.min(BLOB_BYTES, source.size - sent));
    source.readInto(sent, blob);
    hash.update(blob);
    sent += blob.length;
    await sendWaiting(call, snapshotResponse.encode({ remainingBytes: source.size - sent, blob, version }));
    if (pacer.isDue()) await pacer.rest();
  }
  if (call.signal.aborted) return false;
  await sendWaiting(call, snapshotResponse.encode({ remainingBytes: 0, blob: hash.digest(), version }));
  return true;
}
