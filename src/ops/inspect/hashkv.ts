/** `hashkv`: the hash members compare, read from a file without touching it. */
import { Pacer } from '../../bytes/pacer.ts';
import { assertUnmoved, openDatabase } from '../../store/database.ts';
import { databaseOf } from '../../store/locate.ts';
import { hashKv, type RevisionHash } from '../../store/mvcc/hash.ts';
import { advised } from '../advice.ts';
import type { Context } from '../context.ts';

export type HashKVReport = RevisionHash;

export interface HashKVOptions {
  /** 0 asks for the newest. */
  revision: number;
}

/** The hash of a backup, a raw database or a directory at one revision. */
export async function hashKV(path: string, options: HashKVOptions, context: Context): Promise<HashKVReport> {
  const database = openDatabase(databaseOf(path));
  try {
    const pacer = new Pacer({ signal: context.signal, progress: context.progress?.('hashing') });
    const report = await hashKv(database.source, { revision: options.revision, pacer });
    assertUnmoved(database);
    return report;
  } catch (error) {
    assertUnmoved(database);
    throw advised(error, path);
  } finally {
    database.close();
  }
}
