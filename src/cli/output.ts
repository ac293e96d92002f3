/**
 * Data to stdout, everything else to stderr; written at once and whole, so that nothing is lost at exit. A reader
 * that went away (`| head`) ends the output, not the job: its exit code still tells how it went.
 */
import { writeSync } from 'node:fs';
import { ToolError } from '../errors.ts';

const STDOUT = 1;
const STDERR = 2;
const RETRY_MS = 2;

const closed = new Set<number>();
let beforeText = (): void => {};

export function writeOut(text: string): void {
  beforeText();
  writeAll(STDOUT, text);
}

export function writeError(text: string): void {
  beforeText();
  writeAll(STDERR, text);
}

/** Writes to the terminal past the hook; for the progress line itself. */
export function writeProgress(text: string): void {
  writeAll(STDERR, text);
}

/** Lets the progress line step aside before anything is printed, and at the end. */
export function onBeforeText(hook: () => void): void {
  beforeText = hook;
}

/** Takes the progress line away when nothing follows it. */
export function clearProgress(): void {
  beforeText();
}

function writeAll(fd: number, text: string): void {
  if (closed.has(fd)) return;
  let rest: Uint8Array = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN') {
        // A pipe that its other end made non-blocking is full.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
        continue;
      }
      closed.add(fd);
      if (code === 'EPIPE' || fd === STDERR) return;
      throw new ToolError('io.failed', `cannot write to stdout: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}
