/** All rows of a database, to be compared. */
import { openFile } from '../../src/bytes/source.ts';
import { BoltFile } from '../../src/format/bolt/file.ts';

/** Values by `bucket/key`; keys in latin1, revisions in hex. */
export type DatabaseRows = Map<string, string>;

export function readDatabaseRows(path: string): DatabaseRows {
  const source = openFile(path);
  try {
    const rows: DatabaseRows = new Map();
    const bolt = new BoltFile(source);
    for (const bucket of bolt.buckets()) {
      rows.set(bucket.label, '');
      const isText = bucket.label !== 'key' && bucket.label !== 'lease';
      const leaves = bolt.leaves(bucket);
      for (let leaf = leaves.next(); leaf; leaf = leaves.next()) {
        for (let i = 0; i < leaf.count; i++) {
          const key = Buffer.from(leaf.key(i)).toString(isText ? 'latin1' : 'hex');
          rows.set(`${bucket.label}/${key}`, Buffer.from(leaf.value(i)).toString('latin1'));
        }
      }
    }
    return rows;
  } finally {
    source.close();
  }
}

/** Names of rows that differ, or are only in one of them. */
export function differingRows(a: DatabaseRows, b: DatabaseRows): string[] {
  const names = new Set([...a.keys(), ...b.keys()]);
  return [...names].filter((name) => a.get(name) !== b.get(name)).sort();
}
