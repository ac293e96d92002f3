/** Data directories to damage, in scratch: databases and logs as real servers left them, preallocated space cut. */
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { listSegments, LogReader } from '../../src/format/wal/log.ts';
import { formatSegmentName } from '../../src/format/wal/name.ts';
import { SegmentWriter } from '../../src/format/wal/writer.ts';
import { hastyDisk } from '../support/faulty-disk.ts';
import { unpacked } from '../support/fixtures.ts';
import { mapDatabase } from './database-map.ts';
import { type LogMap, mapSegment } from './log-map.ts';

export interface SegmentFile {
  path: string;
  /** Its records, and some of the zeros behind them. */
  used: Uint8Array;
  log: LogMap;
  isLast: boolean;
}

export interface DirectoryBase {
  name: string;
  /** The data directory. */
  path: string;
  database: string;
  segments: SegmentFile[];
  /** Raft snapshots, newest last. */
  snaps: string[];
  /** Every file. */
  files: string[];
}

/** Zeros that are left behind the last record. */
const TAIL_SIZE = 4096;

/** The length word of 2,000 bytes, and the first few of them. */
const TORN_RECORD = Uint8Array.of(
  0xd0,
  0x07,
  0,
  0,
  0,
  0,
  0,
  0,
  0x08,
  0x02,
  0x10,
  0x99,
  0x12,
  0x1a,
  0xc0,
  0x0f,
  1,
  2,
  3,
);

interface Origin {
  name: string;
  archive: string;
  /** A record more was begun, and only its first sector written. */
  isTorn?: boolean;
  /** Keep all 64 MB of it. */
  isWhole?: boolean;
  /** Write its records anew into segments of this many entries. */
  splitAfter?: number;
}

const ORIGINS: readonly Origin[] = [
  { name: '3.4', archive: 'datadir/datadir-3.4.tar.gz' },
  { name: '3.5', archive: 'datadir/datadir-3.5.tar.gz' },
  { name: '3.6', archive: 'datadir/datadir-3.6.tar.gz' },
  { name: '3.7, preallocated', archive: 'datadir/datadir-3.7.tar.gz', isWhole: true },
  { name: 'torn tail', archive: 'datadir/datadir-3.7.tar.gz', isTorn: true },
  { name: 'alarm and learner', archive: 'datadir/misc-alarm-downgrade-promote-3.6.tar.gz' },
  { name: 'every request', archive: 'tail/tail-before-3.6.tar.gz' },
  { name: 'many segments', archive: 'tail/tail-before-3.7.tar.gz', splitAfter: 22 },
  { name: 'restored', archive: 'restore/restored-3node-by-3.7.tar.gz' },
];

export function directoryBases(scratch: string): DirectoryBase[] {
  return ORIGINS.map((origin, index) => build(origin, join(scratch, `dir-${index}`)));
}

function build(origin: Origin, path: string): DirectoryBase {
  const from = join(unpacked(origin.archive), innerOf(origin), 'member');
  const member = join(path, 'member');
  mkdirSync(join(member, 'snap'), { recursive: true });
  mkdirSync(join(member, 'wal'));
  const snaps: string[] = [];
  for (const name of readdirSync(join(from, 'snap')).sort()) {
    const target = join(member, 'snap', name);
    if (name === 'db') writeFileSync(target, withoutTail(readFileSync(join(from, 'snap', name))));
    else copyFileSync(join(from, 'snap', name), target);
    if (name.endsWith('.snap')) snaps.push(target);
  }
  const segments = origin.splitAfter
    ? split(join(from, 'wal'), join(member, 'wal'), origin.splitAfter)
    : [copySegment(origin, join(from, 'wal'), join(member, 'wal'))];
  const database = join(member, 'snap', 'db');
  const files = [database, ...segments.map((segment) => segment.path), ...snaps];
  return { name: origin.name, path, database, segments, snaps, files };
}

function copySegment(origin: Origin, from: string, to: string): SegmentFile {
  const name = readdirSync(from).find((one) => one.endsWith('.wal'))!;
  const bytes = readFileSync(join(from, name));
  const log = mapSegment(bytes);
  const used = Uint8Array.from(bytes.subarray(0, log.end + TAIL_SIZE));
  if (origin.isTorn) used.set(TORN_RECORD, log.end);
  const path = join(to, name);
  writeFileSync(path, used);
  if (origin.isWhole) truncateSync(path, bytes.length);
  return { path, used, log, isLast: true };
}

/** The log as a server would have cut it: each segment begins with metadata and the last state. */
function split(from: string, to: string, entriesEach: number): SegmentFile[] {
  const disk = hastyDisk();
  const reader = new LogReader(listSegments(from).segments);
  const paths: string[] = [];
  let writer: SegmentWriter | undefined;
  let count = 0;
  const begin = (index: number): void => {
    const path = join(to, formatSegmentName({ sequence: paths.length, index }));
    paths.push(path);
    const crc = writer?.crc ?? 0;
    writer?.close();
    writer = SegmentWriter.create(disk, path, { crc, preallocateBytes: 0, zeros: 'omit' });
    if (!reader.metadata) return;
    writer.metadata(reader.metadata);
    if (reader.state) writer.state(reader.state);
  };
  begin(0);
  for (const event of reader.events()) {
    if (event.kind === 'metadata') writer!.metadata(event.metadata);
    else if (event.kind === 'snapshot') writer!.snapshot(event.snapshot);
    else if (event.kind === 'state') writer!.state(event.state);
    else if (event.kind === 'entry') {
      if (++count % entriesEach === 0) begin(event.index);
      const { term, index, type, data } = event;
      writer!.entry({ term, index, type, data: data.length > 0 ? data : undefined });
    }
  }
  writer!.close();
  truncateSync(paths.at(-1)!, statSync(paths.at(-1)!).size + TAIL_SIZE);
  return paths.map((path, i) => {
    const used = Uint8Array.from(readFileSync(path));
    return { path, used, log: mapSegment(used), isLast: i === paths.length - 1 };
  });
}

/** Archives hold one directory. */
const innerOf = ({ archive }: Origin): string =>
  readdirSync(unpacked(archive)).find((name) => !name.startsWith('.'))!;

function withoutTail(bytes: Uint8Array): Uint8Array {
  const { pageLimit, pageSize } = mapDatabase(bytes);
  return bytes.subarray(0, pageLimit * pageSize);
}
