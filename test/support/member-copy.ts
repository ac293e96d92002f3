/** Small copies of fixture members that a test may write to, and what is in them. */
import { createHash } from 'node:crypto';
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, relative } from 'node:path';
import { editBolt } from '../../src/format/bolt/tx.ts';
import { realDisk } from '../../src/bytes/disk.ts';
import { listSegments, type LogEnd, LogReader } from '../../src/format/wal/log.ts';
import { SegmentWriter } from '../../src/format/wal/writer.ts';
import { memberDir } from './fixtures.ts';

const SPARE_SIZE = 8192;

/** A data directory with a copy of `member`; of the last segment's preallocated zeros only a few are kept. */
export function copyMember(scratch: string, member: string, name = 'data'): string {
  const dataDir = join(scratch, name);
  const walDir = join(member, 'wal');
  const end = endOf(walDir);
  const isCut = (path: string): boolean => path === end.file && end.verdict === 'preallocated';
  mkdirSync(dataDir, { recursive: true });
  cpSync(member, join(dataDir, 'member'), {
    recursive: true,
    filter: (path) => !isCut(path) && !path.endsWith('.tmp'),
  });
  if (end.verdict === 'preallocated') {
    const used = Buffer.alloc(end.offset + SPARE_SIZE);
    const fd = openSync(end.file, 'r');
    readSync(fd, used, 0, used.length, 0);
    closeSync(fd);
    writeFileSync(join(dataDir, 'member', 'wal', basename(end.file)), used, { mode: 0o600 });
  }
  return dataDir;
}

/** Of the version's own fixture; its log ends with entry 33, its .snap stands at 21. */
export function copyFixture(scratch: string, version: '3.4' | '3.5' | '3.6' | '3.7', name?: string): string {
  return copyMember(scratch, memberDir(version), name);
}

export function endOf(walDir: string): LogEnd {
  const reader = new LogReader(listSegments(walDir).segments);
  for (const _event of reader.events());
  return reader.end!;
}

/** Appends records to the last segment. */
export function appendTo(dataDir: string, append: (writer: SegmentWriter) => void): void {
  const end = endOf(join(dataDir, 'member', 'wal'));
  const writer = SegmentWriter.append(realDisk(), end.file, { ...end, zeros: 'write' });
  append(writer);
  writer.close();
}

/** Sets rows of a bucket, or with undefined removes them. */
export async function editRows(
  dataDir: string,
  bucket: string,
  rows: Record<string, Uint8Array | string | undefined>,
): Promise<void> {
  await editBolt(realDisk(), join(dataDir, 'member', 'snap', 'db'), (tx) => {
    const into = tx.ensureBucket(Buffer.from(bucket));
    for (const [key, value] of Object.entries(rows)) {
      if (value === undefined) into.delete(Buffer.from(key));
      else into.put(Buffer.from(key), Buffer.from(value));
    }
  });
}

/** Every file below with its content, mode and time of change. */
export function treeOf(folder: string): Record<string, string> {
  const tree: Record<string, string> = {};
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const { mode, mtimeNs } = statSync(path, { bigint: true });
    const content = entry.isFile()
      ? createHash('sha256').update(readFileSync(path)).digest('hex')
      : 'directory';
    tree[relative(folder, path)] = `${content} ${mode.toString(8)} ${entry.isFile() ? mtimeNs : ''}`;
  }
  return tree;
}
