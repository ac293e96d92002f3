/** SHA-256 of the start of a file; in a worker thread when the file is long, beside whatever else goes on. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { type ErrorCode, ToolError } from '../errors.ts';
import { openFile, type Source } from './source.ts';

/** Stays in the cache of one core. */
const CHUNK_SIZE = 128 << 10;
/** Starting a worker takes about as long as hashing this much. */
const WORKER_MIN_BYTES = 16 << 20;

/** SHA-256 of the first `length` bytes of `source`, in constant memory. */
export function sha256Of(source: Source, length: number): Uint8Array {
  const hash = createHash('sha256');
  const chunk = new Uint8Array(Math.min(CHUNK_SIZE, length));
  for (let offset = 0; offset < length; offset += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, length - offset));
    source.readInto(offset, part);
    hash.update(part);
  }
  return hash.digest();
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

/** It gets none of the process's options: some, as those of `node -e`, no worker can start with. */
const startWorker = (): Worker =>
  new Worker(new URL('./sha256-worker.js', import.meta.url), { execArgv: [] });

/** Started, and without work yet. */
let waiting: Worker | undefined;

/** Starts the worker for the first `startSha256` to come, if the file is one that is hashed there. Never throws. */
export function prepareSha256(path: string): void {
  if (waiting || sizeOf(path) < WORKER_MIN_BYTES) return;
  waiting = startWorker();
  waiting.unref();
}

/** 0 where nobody can tell: whoever opens the file is told why. */
function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
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

/** Done when it returns; a promise only so that it fails as the worker does. */
async function hashNow({ path, length }: DigestRequest): Promise<Uint8Array> {
  const source = openFile(path);
  try {
    return sha256Of(source, length);
  } finally {
    source.close();
  }
}
