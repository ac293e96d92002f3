/** What an operation may use of the world; everything else it is given as options. */
import { realDisk, type Disk } from '../bytes/disk.ts';
import type { ProgressSink } from '../bytes/pacer.ts';

/** The few levels an operation logs at; pino's loggers fit. Fields first, then the message. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface Context {
  log: Log;
  disk: Disk;
  /** Aborted on Ctrl-C; operations then clean up and throw `interrupted`. */
  signal?: AbortSignal;
  /** Told what a long job is doing, in bytes done of bytes in all. */
  progress?: (label: string) => ProgressSink;
}

const silent = (): void => {};

/** A context for callers who want none of it: no log, no progress, the real disk. */
export function plainContext(over: Partial<Context> = {}): Context {
  return { log: { debug: silent, info: silent, warn: silent }, disk: realDisk(), ...over };
}
