/**
 * Passwords and bcrypt, in a thread of their own: one hash takes about as long as a thousand requests. One job is
 * there at a time; the others wait here, where a call that is given up leaves the queue. How many wait is bounded, in
 * all and for each user; users take turns, and when there are too many, who has most makes room for who has less. So
 * nobody keeps the others from logging in by trying passwords, unless for as many users as may wait.
 *
 * The thread starts with the first job, keeps no process alive, and is started again when it dies.
 */
import { Worker } from 'node:worker_threads';
import { ToolError } from '../../errors.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import { type Clock, MONOTONIC_CLOCK } from '../clock.ts';
import { etcdError } from '../rpc-errors.ts';
import { type BcryptHash, bcryptCostOf, hasDigest, parseHash, PASSWORD_BYTES_MAX } from './bcrypt.ts';
import { Turns } from './turns.ts';
import type { PasswordAnswer, PasswordRequest } from './password-worker.ts';

const DEFAULT_PENDING_MAX = 128;
/** What one user may have of it. */
const USER_SHARE = 1 / 8;
/** A job that nobody waits for any more may go on for so long. With a cost of 20 it would hold up all others. */
const ABANDONED_MS = 2000;

export interface PasswordsOptions {
  /** Jobs that are waiting or running. */
  pendingMax?: number;
  /** Of them, those of one user; an eighth without it. */
  pendingPerUserMax?: number;
  clock?: Clock;
  /** Where it counts. */
  stats?: PasswordStats;
  /** For tests. */
  startWorker?: () => Worker;
}

/** Whose password it is, and what says that nobody waits for the answer any more. */
export interface PasswordCall {
  username: string;
  signal?: AbortSignal;
}

/** Since the start, but for `pending`. */
export interface PasswordStats {
  /** Waiting or running now. */
  pending: number;
  /** There were too many. */
  refused: number;
  /** The thread died, or could not answer. A wrong password is no failure. */
  failed: number;
}

/** The first settling counts, as with any promise. */
interface Job {
  request: PasswordRequest;
  username: string;
  resolve(hash: string): void;
  reject(error: unknown): void;
}

export class Passwords {
  readonly stats: PasswordStats;
  readonly #pendingMax: number;
  readonly #pendingPerUserMax: number;
  readonly #clock: Clock;
  readonly #startWorker: () => Worker;
  readonly #waiting = new Turns<Job>();
  readonly #pendingOf = new Map<string, number>();
  #running: Job | undefined;
  #worker: Worker | undefined;
  #isClosed = false;

  constructor(options: PasswordsOptions = {}) {
    this.#pendingMax = options.pendingMax ?? DEFAULT_PENDING_MAX;
    this.#pendingPerUserMax =
      options.pendingPerUserMax ?? Math.max(1, Math.floor(this.#pendingMax * USER_SHARE));
    this.stats = options.stats ?? { pending: 0, refused: 0, failed: 0 };
    this.#clock = options.clock ?? MONOTONIC_CLOCK;
    this.#startWorker = options.startWorker ?? startWorker;
  }

  /** bcrypt's text, of 60 characters. A password of more than 72 bytes fails with Go's text. */
  async hash(password: string, cost: number, call: PasswordCall): Promise<string> {
    if (isTooLong(password))
      throw new ToolError('server.password', 'bcrypt: password length exceeds 72 bytes');
    return this.#run({ password, cost: bcryptCostOf(cost) }, call);
  }

  /**
   * Whether it is the password of a stored hash; false where that is no hash.
   *
   * Differs from Go's `CompareHashAndPassword`, which looks at the first 72 bytes of a longer password, so that a right
   * one may be followed by anything: false here. Whoever has had a longer password since before 2022, when Go still
   * hashed its start, needs another.
   */
  async matches(password: string, hash: Uint8Array | string, call: PasswordCall): Promise<boolean> {
    const stored = parseHash(typeof hash === 'string' ? hash : Buffer.from(hash).toString('latin1'));
    if (!stored || isTooLong(password)) return false;
    return this.#compare(password, stored, call);
  }

  /** Ends the thread. What is waiting or running fails, as does whatever comes later. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (let job = this.#waiting.take(); job; job = this.#waiting.take()) this.#leave(job, stopped());
    const worker = this.#worker;
    this.#worker = undefined;
    this.#finish((job) => job.reject(stopped()));
    await worker?.terminate();
  }

  async #compare(password: string, stored: BcryptHash, call: PasswordCall): Promise<boolean> {
    return hasDigest(await this.#run({ password, salt: stored.salt }, call), stored);
  }

  async #run(request: PasswordRequest, { username, signal }: PasswordCall): Promise<string> {
    if (this.#isClosed) throw stopped();
    if (signal?.aborted) throw canceled(signal);
    this.#admit(username);
    let giveUp: (() => void) | undefined;
    try {
      return await new Promise<string>((resolve, reject) => {
        const job: Job = { request, username, resolve, reject };
        giveUp = () => this.#giveUp(job, canceled(signal!));
        signal?.addEventListener('abort', giveUp);
        this.#waiting.add(username, job);
        this.#next();
      });
    } finally {
      if (giveUp) signal?.removeEventListener('abort', giveUp);
    }
  }

  #admit(username: string): void {
    const ofUser = this.#pendingOf.get(username) ?? 0;
    const isFull = ofUser >= this.#pendingPerUserMax || !this.#hasRoom(ofUser);
    if (isFull) throw this.#tooMany();
    this.stats.pending++;
    this.#pendingOf.set(username, ofUser + 1);
  }

  /** Who has more waiting than whoever comes, with what he brings, has to make room. */
  #hasRoom(ofUser: number): boolean {
    if (this.stats.pending < this.#pendingMax) return true;
    const greedy = this.#waiting.takeLastOfMost(ofUser + 1);
    if (greedy) this.#leave(greedy, this.#tooMany());
    return greedy !== undefined;
  }

  #tooMany(): RpcError {
    this.stats.refused++;
    return etcdError('etcdserver: too many requests');
  }

  #release(username: string): void {
    this.stats.pending--;
    const left = this.#pendingOf.get(username)! - 1;
    if (left > 0) this.#pendingOf.set(username, left);
    else this.#pendingOf.delete(username);
  }

  /** One that runs counts until the thread is done with it: calls that are given up at once have a bound too. */
  #giveUp(job: Job, error: unknown): void {
    if (this.#waiting.delete(job.username, job)) return this.#leave(job, error);
    job.reject(error);
    this.#clock.after(ABANDONED_MS, () => {
      if (job === this.#running) this.#replaceWorker();
    });
  }

  #leave(job: Job, error: unknown): void {
    this.#release(job.username);
    job.reject(error);
  }

  #next(): void {
    if (this.#running || this.#isClosed) return;
    const job = this.#waiting.take();
    if (!job) return;
    this.#running = job;
    try {
      this.#worker ??= this.#start();
      this.#worker.postMessage(job.request);
    } catch (error) {
      this.#fail('the thread does not start', error);
    }
  }

  #finish(settle: (job: Job) => void): void {
    const job = this.#running;
    this.#running = undefined;
    if (job) {
      this.#release(job.username);
      settle(job);
    }
    this.#next();
  }

  #fail(problem: string, cause?: unknown): void {
    this.stats.failed++;
    const text = `etcdkit: the password was not looked at: ${problem}`;
    this.#finish((job) => job.reject(new RpcError(STATUS.unavailable, text, cause)));
  }

  #start(): Worker {
    const worker = this.#startWorker();
    let cause: unknown;
    worker.on('message', (answer: PasswordAnswer) => {
      if (worker !== this.#worker) return;
      if ('hash' in answer) this.#finish((job) => job.resolve(answer.hash));
      else this.#fail(answer.problem);
    });
    worker.on('error', (error) => {
      cause = error;
    });
    worker.on('exit', (code) => {
      if (worker !== this.#worker) return;
      this.#worker = undefined;
      if (this.#running) this.#fail(`the thread ended with exit code ${code}`, cause);
    });
    // Last: to listen for messages holds the process again.
    worker.unref();
    return worker;
  }

  /** Whoever waited for the job that runs has been told. */
  #replaceWorker(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    worker?.terminate().catch(() => {});
    this.#finish(() => {});
  }
}

/** It gets none of the process's options: some, as those of `node -e`, no worker can start with. */
function startWorker(): Worker {
  return new Worker(new URL('./password-worker.js', import.meta.url), { execArgv: [] });
}

function isTooLong(password: string): boolean {
  return Buffer.byteLength(password) > PASSWORD_BYTES_MAX;
}

function stopped(): ToolError {
  return new ToolError('server.stopped', 'the server has been stopped');
}

function canceled(signal: AbortSignal): RpcError {
  return etcdError('etcdserver: request canceled', signal.reason);
}
