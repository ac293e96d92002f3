/**
 * Ends a test that hangs. A synchronous loop cannot be interrupted from its own thread, so another one looks on, and
 * says which step was running before it kills the process.
 */
import { Worker } from 'node:worker_threads';

const WORKER = `
const { workerData } = require('node:worker_threads');
const { writeSync } = require('node:fs');
const state = new Int32Array(workerData.shared, 0, 2);
const text = new Uint8Array(workerData.shared, 8);
let seen = -1;
let since = Date.now();
setInterval(() => {
  if (state[0] !== seen) { seen = state[0]; since = Date.now(); return; }
  if (seen < 0 || Date.now() - since < workerData.limitMs) return;
  writeSync(2, 'HANG after ' + workerData.limitMs + ' ms in ' + Buffer.from(text.slice(0, state[1])).toString() + '\\n');
  process.kill(process.pid, 'SIGKILL');
}, 250).unref();
setInterval(() => {}, 1 << 30);
`;

const TEXT_SIZE = 1024;

export class Watchdog {
  readonly #state: Int32Array;
  readonly #text: Uint8Array;
  readonly #worker: Worker;

  constructor(limitMs: number) {
    const shared = new SharedArrayBuffer(8 + TEXT_SIZE);
    this.#state = new Int32Array(shared, 0, 2);
    this.#text = new Uint8Array(shared, 8);
    this.#worker = new Worker(WORKER, { eval: true, workerData: { shared, limitMs } });
    this.#worker.unref();
  }

  /** Says what begins now; whatever ran before has ended. */
  step(what: string): void {
    const bytes = Buffer.from(what).subarray(0, TEXT_SIZE);
    this.#text.set(bytes);
    this.#state[1] = bytes.length;
    Atomics.add(this.#state, 0, 1);
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
