/**
 * A seeded run of a backend as a server drives it: puts, deletes, commits, views, rewrites, reopenings. What was
 * acknowledged is noted on the way.
 */
import { join } from 'node:path';
import type { Disk } from '../../src/bytes/disk.ts';
import type { DurableView } from '../../src/store/backend/backend.ts';
import { BoltBackend } from '../../src/store/backend/bolt.ts';
import { type Content, copyOf } from '../support/database-content.ts';
import type { Random } from '../support/mutate.ts';

/** What the database held when a commit had ended. */
export interface Acknowledged {
  /** File operations until then. */
  callCount: number;
  content: Content;
}

const encode = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** One round's changes, made to both. */
function change(backend: BoltBackend, content: Content, random: Random, round: number): void {
  const put = (bucket: string, key: string, value: Uint8Array): void => {
    backend.put(bucket, encode(key), value);
    const rows = content.get(bucket) ?? new Map<string, string>();
    content.set(bucket, rows.set(key, Buffer.from(value).toString('latin1')));
  };
  const count = 1 + random.below(random.chance(0.2) ? 200 : 20);
  for (let i = 0; i < count; i++) {
    const isLong = random.chance(0.03);
    put('key', `${String(round).padStart(8, '0')}_${String(i).padStart(8, '0')}`, value(random, isLong));
  }
  for (const [bucket, share] of [
    ['key', 0.1],
    ['lease', 0.5],
  ] as const) {
    for (const key of [...(content.get(bucket)?.keys() ?? [])]) {
      if (!random.chance(share * 0.5)) continue;
      backend.delete(bucket, encode(key));
      content.get(bucket)!.delete(key);
    }
  }
  for (let i = random.below(10); i > 0; i--) put('lease', `lease-${random.below(500)}`, value(random, false));
  put('meta', 'consistent_index', encode(String(round)));
}

const value = (random: Random, isLong: boolean): Uint8Array =>
  random.bytes(random.below(isLong ? 12_000 : 300));

interface RunOptions {
  rounds: number;
  /** File operations so far. */
  callCount(): number;
  acknowledged: Acknowledged[];
  /** What the database holds once the commit that is under way has ended. */
  onChange?(content: Content): void;
}

/** Drives a new backend at `root/db`. Ends early, and throws, when the disk fails. */
export async function drive(root: string, disk: Disk, random: Random, options: RunOptions): Promise<void> {
  const path = join(root, 'db');
  const content: Content = new Map();
  const acknowledge = (): void =>
    void options.acknowledged.push({ callCount: options.callCount(), content: copyOf(content) });
  let backend = await BoltBackend.open(disk, path, { isNew: true });
  const views: DurableView[] = [];
  try {
    acknowledge();
    for (let round = 0; round < options.rounds; round++) {
      change(backend, content, random, round);
      options.onChange?.(copyOf(content));
      if (random.chance(0.2)) views.push(await backend.openView());
      else await backend.commit();
      acknowledge();
      if (random.chance(0.2)) views.splice(random.below(views.length || 1), 1)[0]?.close();
      if (random.chance(0.06)) await backend.defrag();
      if (random.chance(0.06)) {
        for (const view of views.splice(0)) view.close();
        await backend.close();
        backend = await BoltBackend.open(disk, path);
      }
    }
  } finally {
    for (const view of views) view.close();
    await backend.close();
  }
}

/** Whether both hold the same rows. */
export function sameContent(a: Content, b: Content): boolean {
  if (a.size !== b.size) return false;
  return [...a].every(([bucket, rows]) => {
    const others = b.get(bucket);
    return others?.size === rows.size && [...rows].every(([key, one]) => others.get(key) === one);
  });
}
