/**
 * `snapshot save` from a running server: what its Maintenance service streams, checked while it comes and in full
 * before it gets its name. etcdctl keeps what it was sent, whether it is sound or not.
 */
import { readFileSync } from 'node:fs';
import { ioError } from '../../bytes/io-error.ts';
import { Pacer } from '../../bytes/pacer.ts';
import { StagedFile } from '../../bytes/replace.ts';
import { CorruptError, ToolError } from '../../errors.ts';
import { Channel, type ChannelTls } from '../../client/channel.ts';
import { logIn, type User } from '../../client/login.ts';
import { IncomingBackup } from '../../format/backup/incoming.ts';
import { snapshotRequest, snapshotResponse } from '../../format/proto/maintenance-service.ts';
import type { Context } from '../context.ts';
import { assertAbsent } from '../output-path.ts';
import { assertSound } from './sound.ts';

const SNAPSHOT_PATH = '/etcdserverpb.Maintenance/Snapshot';
const BACKUP_MODE = 0o600;
/** A server that is gone without a word is noticed in this time; a slow one may take as long as it likes. */
const KEEP_ALIVE = { intervalMs: 10_000, timeoutMs: 10_000 };

export interface FetchOptions {
  /** `http://host:port`, `https://host:port` or `host:port`, which is TLS when a certificate is given. */
  endpoint: string;
  /** Must not exist. */
  output: string;
  /** To connect; 5 s without it. */
  dialTimeoutMs?: number | undefined;
  /** PEM files. */
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
  /** Takes any certificate of the server. */
  skipsVerify?: boolean | undefined;
  /** Who asks, where authentication is on: only root is given a backup. */
  user?: User | undefined;
}

export interface FetchReport {
  endpoint: string;
  output: string;
  /** Storage version of the server's database; servers before 3.6 do not say. */
  serverVersion: string | undefined;
  revision: number;
  keyCount: number;
  sizeBytes: number;
  sha256: Uint8Array;
  tookMs: number;
}

/** Throws before the output has its name, or returns after it was verified. */
export async function fetchSnapshot(options: FetchOptions, context: Context): Promise<FetchReport> {
  const began = performance.now();
  const { endpoint, output } = options;
  assertAbsent(output);
  const pacer = new Pacer({ signal: context.signal, progress: context.progress?.('fetching') });
  const staged = new StagedFile(context.disk, output, { mode: BACKUP_MODE });
  try {
    const fetched = await receive(options, staged, pacer, context.signal);
    staged.seal();
    const { facts } = await assertSound(staged.temporary, context);
    staged.commitNew();
    return {
      ...fetched,
      endpoint,
      output,
      revision: Number(facts['revision'] ?? 0),
      keyCount: Number(facts['keys'] ?? 0),
      tookMs: performance.now() - began,
    };
  } finally {
    staged.discard();
  }
}

async function receive(
  options: FetchOptions,
  staged: StagedFile,
  pacer: Pacer,
  signal: AbortSignal | undefined,
): Promise<Pick<FetchReport, 'serverVersion' | 'sizeBytes' | 'sha256'>> {
  const { endpoint, dialTimeoutMs: timeoutMs } = options;
  let channel: Channel | undefined;
  try {
    channel = await Channel.connect(addressOf(options), {
      timeoutMs,
      signal,
      tls: tlsOf(options),
      keepAlive: KEEP_ALIVE,
    });
    const metadata = options.user && (await logIn(channel, options.user, signal));
    const stream = channel.stream(SNAPSHOT_PATH, { signal, metadata });
    stream.send(snapshotRequest.encode({}));
    stream.end();
    const backup = new IncomingBackup();
    let left = 0;
    let serverVersion: string | undefined;
    for await (const message of stream) {
      const { blob, remainingBytes, version } = snapshotResponse.decode(message);
      serverVersion ??= version === '' ? undefined : version;
      staged.write(blob, backup.size);
      backup.add(blob);
      left = remainingBytes;
      if (pacer.isDue()) await pacer.rest(backup.size, backup.size + left);
    }
    if (left > 0 || backup.size === 0) throw short(endpoint, backup.size, left);
    return { serverVersion, sizeBytes: backup.size, sha256: backup.finish(endpoint) };
  } catch (error) {
    // However the call ended then, this is why.
    pacer.check();
    throw named(error, endpoint);
  } finally {
    await channel?.close();
  }
}

function short(endpoint: string, size: number, left: number): CorruptError {
  const missing = left > 0 ? `, ${left} before the end of its database` : '';
  return new CorruptError('backup.short', `${endpoint} ended the backup after ${size} bytes${missing}`, {
    hint: 'try again, or ask another member',
  });
}

/** A status of the server says nothing of which server it was. */
function named(error: unknown, endpoint: string): unknown {
  if (!(error instanceof ToolError) || error.code !== 'rpc.status' || error.message.includes(endpoint))
    return error;
  return new ToolError('rpc.status', `${endpoint}: ${error.message}`, { cause: error });
}

function addressOf({ endpoint, caFile, certFile, skipsVerify }: FetchOptions): string {
  const isSecure = caFile !== undefined || certFile !== undefined || skipsVerify === true;
  return /^[a-z]+:\/\/|^unix:/i.test(endpoint) || !isSecure ? endpoint : `https://${endpoint}`;
}

function tlsOf({ caFile, certFile, keyFile, skipsVerify }: FetchOptions): ChannelTls {
  return { ca: read(caFile), cert: read(certFile), key: read(keyFile), isInsecure: skipsVerify };
}

function read(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw ioError(error, { operation: 'open', path });
  }
}
