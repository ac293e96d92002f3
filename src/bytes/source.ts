/**
 * Where bytes come from: a file, memory, or a part of another source. A read gives exactly the bytes asked
 * for, or an error; nothing here ever writes.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { CorruptError, ToolError } from '../errors.ts';
import { ioError } from './io-error.ts';
import { ReadAhead } from './read-ahead.ts';

export interface Source {
  /** For messages. */
  readonly name: string;
  /** Bytes, as of opening. */
  readonly size: number;
  /** Fills `into` with the bytes from `offset` on. Throws `io.short-read` when there are fewer. */
  readInto(offset: number, into: Uint8Array): void;
  /** Hints that all of it will be read, and that what was read so far came slowly. */
  readAhead?(): void;
  close(): void;
}

/** `length` bytes from `offset` in a buffer of their own. */
export function readAt(source: Source, offset: number, length: number): Uint8Array {
  if (offset < 0 || length < 0 || offset + length > source.size) {
    throw new CorruptError(
      'io.short-read',
      `${length} bytes were expected, but the file has ${source.size}`,
      {
        where: { file: source.name, offset },
      },
    );
  }
  const into = new Uint8Array(length);
  source.readInto(offset, into);
  return into;
}

/** `source` as if it ended after `size` bytes; closing it closes `source`. */
export function startOf(source: Source, size: number): Source {
  return {
    name: source.name,
    size: Math.min(size, source.size),
    readInto: (offset, into) => source.readInto(offset, into),
    close: () => source.close(),
  };
}

/** A regular file, opened read-only. Throws `ToolError` with an `io.` code. */
export function openFile(path: string): FileSource {
  return new FileSource(path);
}

export class FileSource implements Source {
  readonly name: string;
  readonly size: number;
  readonly fd: number;
  /** Nanoseconds; with the inode, tells whether another file took this one's place. */
  readonly modifiedNs: bigint;
  #isOpen = true;
  #ahead: ReadAhead | undefined;

  constructor(path: string) {
    this.name = path;
    try {
      // Without it, opening a pipe waits for somebody to write to it.
      this.fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    } catch (error) {
      throw ioError(error, { operation: 'open', path });
    }
    const stat = fstatSync(this.fd, { bigint: true });
    if (!stat.isFile()) {
      closeSync(this.fd);
      throw new ToolError('io.not-a-file', `${path} is not a regular file`, { where: { file: path } });
    }
    this.size = Number(stat.size);
    this.modifiedNs = stat.mtimeNs;
  }

  readInto(offset: number, into: Uint8Array): void {
    let done = 0;
    while (done < into.length) {
      let count: number;
      try {
        count = readSync(this.fd, into, done, into.length - done, offset + done);
      } catch (error) {
        throw ioError(error, { operation: 'read', path: this.name });
      }
      if (count === 0) {
        throw new CorruptError(
          'io.short-read',
          `${into.length} bytes were expected, but the file ended after ${done}; is it still being written?`,
          { where: { file: this.name, offset: offset + done } },
        );
      }
      done += count;
    }
  }

  readAhead(): void {
    this.#ahead ??= new ReadAhead(this.name, this.size);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#ahead?.stop();
    closeSync(this.fd);
  }
}

/** Bytes that are already there, for tests and for files inside archives. */
export class MemorySource implements Source {
  readonly name: string;
  readonly size: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, name = 'memory') {
    this.#bytes = bytes;
    this.size = bytes.length;
    this.name = name;
  }

  readInto(offset: number, into: Uint8Array): void {
    if (offset < 0 || offset + into.length > this.size) {
      throw new CorruptError(
        'io.short-read',
        `${into.length} bytes were expected, ${this.size - offset} are there`,
        {
          where: { file: this.name, offset },
        },
      );
    }
    into.set(this.#bytes.subarray(offset, offset + into.length));
  }

  close(): void {}
}
