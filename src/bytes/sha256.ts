/** SHA-256 of the start of a file; in a worker thread when the file is long, beside whatever else goes on. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { type ErrorCode, ToolError } from '../errors.ts';
import { type FileSource, openFile } from './source.ts';

const CHUNK_SIZE = 1 << 20;
/** Starting a worker takes about as long as hashing this much. */
const WORKER_MIN_BYTES = 16 << 20;

/** SHA-256 of the first `length` bytes of `source`, in constant memory: one chunk is hashed while the next is read. */
export async function sha256Of(source: FileSource, length: number): Promise<Uint8Array> {
  const hash = createHash('sha256');
  const chunk = new Uint8Array(Math.min(CHUNK_SIZE, length));
  const other = new Uint8Array(chunk.length);
  const start = async (into: Uint8Array, offset: number): Promise<Uint8Array> => {
    const part = into.subarray(0, Math.max(0, Math.min(into.length, length - offset)));
    await source.startRead(offset, part);
    return part;
  };
  let next = start(chunk, 0);
  try {
    for (let offset = chunk.length, into = other; ; offset += chunk.length) {
      const part = await next;
      if (part.length === 0) return hash.digest();
      next = start(into, offset);
      hash.update(part);
      into = into === other ? chunk : other;
    }
  } finally {
    await next.catch(() => {});
  }
}

/** What the worker is given, and what it answers. */
export interface DigestRequest {
  path: string;
  length: number;
}
export type DigestAnswer = { digest: Uint8Array } | { code: ErrorCode; message: string };

/** A digest that is being computed. */
export interface PendingDigest {
  result: Promise<Uint8Array>;
  /** Gives up; `result` then never settles. */
  cancel(): void;
}

const startWorker = (): Worker => new Worker(new URL('./sha256-worker.js', import.meta.url));

/** Started, and without work yet. */
let waiting: Worker | undefined;

/** Starts the worker for the first `startSha256` to come, if the file is one that is hashed there. Never throws. */
export function prepareSha256(path: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (waiting || size < WORKER_MIN_BYTES) return;
  waiting = startWorker();
  waiting.unref();
}

function takeWorker(): Worker {
  const worker = waiting ?? startWorker();
  waiting = undefined;
  worker.ref();
  return worker;
}

/** Starts hashing the first `length` bytes of the file. */
export function startSha256(request: DigestRequest): PendingDigest {
  if (request.length < WORKER_MIN_BYTES) {
    const result = hashNow(request);
    result.catch(() => {});
    return { result, cancel() {} };
  }
  const worker = takeWorker();
  worker.postMessage(request);
  const result = new Promise<Uint8Array>((resolve, reject) => {
    worker.once('message', (answer: DigestAnswer) => {
      if ('digest' in answer) resolve(answer.digest);
      else reject(new ToolError(answer.code, answer.message, { where: { file: request.path } }));
    });
    worker.once('error', (error) => reject(error));
  });
  // Whoever waits for it sees the failure; nobody may be waiting yet, or any more.
  result.catch(() => {});
  return {
    result,
    cancel() {
      worker.terminate().catch(() => {});
    },
  };
}

async function hashNow({ path, length }: DigestRequest): Promise<Uint8Array> {
  const source = openFile(path);
  try {
    return await sha256Of(source, length);
  } finally {
    source.close();
  }
}
