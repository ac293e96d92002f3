/** A bolt backend in a directory of a test's own, and a disk that lets a test hold up its commits. */
import type { TestContext } from 'node:test';
import { join } from 'node:path';
import type { Disk } from '../../../src/bytes/disk.ts';
import { BoltBackend, type BoltOptions } from '../../../src/store/backend/bolt.ts';
import { latin1 } from '../../support/bolt-spec.ts';
import { contentOfFile } from '../../support/database-content.ts';
import { hastyDisk } from '../../support/faulty-disk.ts';
import { scratch } from '../../support/scratch.ts';
import { text } from '../database-builder.ts';

export const name = (i: number): string => String(i).padStart(6, '0');

export interface Made {
  backend: BoltBackend;
  path: string;
}

/** A new one, whose file is checked when the test is over. */
export async function made(
  t: TestContext,
  disk: Disk = hastyDisk(),
  options: BoltOptions = {},
): Promise<Made> {
  let check = async (): Promise<void> => {};
  // Before the directory goes: hooks run in the order in which they were made.
  t.after(() => check());
  const path = join(scratch(t), 'db');
  const backend = await BoltBackend.open(disk, path, { ...options, isNew: true });
  check = async () => {
    await backend.close().catch(() => {});
    contentOfFile(path);
  };
  return { backend, path };
}

export const valueOf = (backend: BoltBackend, bucket: string, key: string): string | undefined => {
  const value = backend.get(bucket, text(key));
  return value && latin1(value);
};
export const keysOf = (backend: BoltBackend, bucket: string): string[] =>
  Array.from(backend.scan(bucket), ({ key }) => latin1(key));
export const fill = (backend: BoltBackend, from: number, to: number, value = 'v'.repeat(100)): void => {
  for (let i = from; i < to; i++) backend.put('key', text(name(i)), text(value));
};

/** Syncs that a commit waits for end when they are let through. */
export class Gate {
  readonly disk: Disk = { ...hastyDisk(), startDataSync: () => this.#reach() };
  #open: Array<() => void> = [];
  #reached: Array<() => void> = [];

  #reach(): Promise<void> {
    for (const tell of this.#reached.splice(0)) tell();
    return new Promise((resolve) => this.#open.push(resolve));
  }

  /** Ends when a sync has begun that was not let through. */
  async reached(): Promise<void> {
    if (this.#open.length === 0) await new Promise<void>((resolve) => this.#reached.push(resolve));
  }

  let(): void {
    this.#open.shift()!();
  }

  /** Lets one commit end: its pages and its meta. */
  async letCommit(): Promise<void> {
    for (let i = 0; i < 2; i++) {
      await this.reached();
      this.let();
    }
  }
}
