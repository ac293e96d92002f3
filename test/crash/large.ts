/**
 * Cases large enough to be hit in the middle: a database of about 30 MB, made of a fixture and many more keys. It is
 * made anew in each run, and stored nowhere.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Pacer } from '../../src/bytes/pacer.ts';
import { MemorySource } from '../../src/bytes/source.ts';
import { TRAILER_SIZE } from '../../src/format/backup/trailer.ts';
import { BoltFile } from '../../src/format/bolt/file.ts';
import { keyValue } from '../../src/format/proto/mvccpb.ts';
import { newestRevision } from '../../src/ops/snapshot/restore/source.ts';
import { restoreSnapshot } from '../../src/ops/snapshot/restore.ts';
import { defragment } from '../../src/ops/upkeep/defrag.ts';
import { encodeRevision } from '../../src/store/mvcc/record.ts';
import { rewriteDatabase } from '../../src/store/rewrite.ts';
import { Random } from '../support/mutate.ts';
import { backup, type Case, DATA_DATABASE, DOWN_TO_36, TIMEOUT_MS, written } from './cases.ts';
import { contentOf, type Tree } from './tree.ts';

const RECORD_COUNT = 27_000;
const VALUE_SIZE = 1000;
/** A server's database ends with room it has not used yet. */
const SPARE_SIZE = 8 << 20;

/** The same database with many more keys in it, each put once. */
async function enlarged(database: Uint8Array): Promise<Uint8Array> {
  const bolt = new BoltFile(new MemorySource(database));
  const rows = recordsAfter(newestRevision(bolt));
  const chunks: Array<{ bytes: Uint8Array; position: number }> = [];
  const output = {
    write: (bytes: Uint8Array, position: number) => void chunks.push({ bytes: bytes.slice(), position }),
  };
  const edits = new Map([['key', { rows }]]);
  const { sizeBytes } = await rewriteDatabase(new BoltFile(bolt.source), output, {
    edits,
    pacer: new Pacer(),
  });
  const large = new Uint8Array(sizeBytes);
  for (const { bytes, position } of chunks) large.set(bytes, position);
  return large;
}

function recordsAfter(revision: number): Map<string, Uint8Array> {
  const noise = new Random(1).bytes(VALUE_SIZE);
  const rows = new Map<string, Uint8Array>();
  for (let main = revision + 1; main <= revision + RECORD_COUNT; main++) {
    const key = Buffer.from(`/registry/large/${main}`);
    const value = keyValue.encode({
      key,
      createRevision: main,
      modRevision: main,
      version: 1,
      value: noise,
      lease: 0n,
    });
    rows.set(Buffer.from(encodeRevision(main, 0)).toString('latin1'), value);
  }
  return rows;
}

const isBackup = (path: string): boolean => path.endsWith('backup.db');

/** A world whose database is large. */
function large(make: () => Tree): () => Promise<Tree> {
  let made: Promise<Tree> | undefined;
  const enlarge = async (): Promise<Tree> => {
    const tree = make();
    const path = [...tree.keys()].find((one) => isBackup(one) || one === DATA_DATABASE)!;
    const entry = tree.get(path)!;
    const { bytes, sizeBytes } = entry.content!;
    const whole = new Uint8Array(sizeBytes - (isBackup(path) ? TRAILER_SIZE : 0));
    whole.set(bytes.subarray(0, whole.length));
    const database = await enlarged(whole);
    const seal = isBackup(path) ? createHash('sha256').update(database).digest() : new Uint8Array();
    const content = contentOf(Buffer.concat([database, seal]));
    const spare = isBackup(path) ? 0 : SPARE_SIZE;
    return tree.set(path, { ...entry, content: { ...content, sizeBytes: content.sizeBytes + spare } });
  };
  return () => (made ??= enlarge());
}

export const LARGE_CASES: readonly Case[] = [
  {
    name: 'defrag, large',
    before: large(written('3.6')),
    args: (root) => ['defrag', '--data-dir', join(root, 'data')],
    run: (root, context) => defragment({ dataDir: join(root, 'data') }, { timeoutMs: TIMEOUT_MS }, context),
    checked: [{ path: 'data' }],
    swapped: DATA_DATABASE,
  },
  {
    name: 'restore, large',
    before: large(backup('3.6')),
    args: (root) => ['snapshot', 'restore', join(root, 'backup.db'), '--data-dir', join(root, 'here/data')],
    run: (root, context) =>
      restoreSnapshot(join(root, 'backup.db'), { target: { dataDir: join(root, 'here/data') } }, context),
    checked: [{ path: 'here/data' }],
    isRefusedOnceDone: true,
  },
  {
    ...DOWN_TO_36,
    name: 'migrate, large',
    before: large(written('3.7')),
    args: (root) => [
      'migrate',
      '--data-dir',
      join(root, 'data'),
      '--target-version',
      '3.6',
      '--fix-cluster-version',
    ],
  },
];
