/**
 * Makes a log appendable whose last write was cut short: what is behind the last good record goes, and a copy of the
 * segment as it was stays beside it. etcd v3.6 server/storage/wal/repair.go.
 */
import { existsSync } from 'node:fs';
import type { Disk } from '../../bytes/disk.ts';
import { openFile } from '../../bytes/source.ts';
import type { Pacer } from '../../bytes/pacer.ts';
import type { Log } from '../log.ts';

const SEGMENT_MODE = 0o600;
const CHUNK_SIZE = 1 << 20;

interface Tools {
  disk: Disk;
  pacer: Pacer;
  log?: Log | undefined;
}

/** Where a segment is to end. */
export interface Cut {
  path: string;
  offset: number;
  /** What was found there. */
  reason: string;
}

export async function repairLog({ path, offset, reason }: Cut, { disk, pacer, log }: Tools): Promise<void> {
  const broken = `${path}.broken`;
  log?.warn({ path, offset, reason }, 'repairing: the last write to the log was cut short');
  if (existsSync(broken)) disk.remove(broken);
  await copy(path, broken, { disk, pacer });
  const fd = disk.openForUpdate(path);
  try {
    disk.truncate(fd, offset);
    disk.sync(fd);
  } finally {
    disk.close(fd);
  }
  log?.info({ path, copy: broken }, 'repaired');
}

async function copy(from: string, to: string, { disk, pacer }: Tools): Promise<void> {
  const source = openFile(from);
  const fd = disk.create(to, SEGMENT_MODE);
  try {
    const chunk = new Uint8Array(Math.min(CHUNK_SIZE, source.size));
    for (let at = 0; at < source.size; at += chunk.length) {
      const part = chunk.subarray(0, Math.min(chunk.length, source.size - at));
      source.readInto(at, part);
      // A disk that is full takes a hole.
      if (part.some((byte) => byte !== 0)) disk.write(fd, part, at);
      if (pacer.isDue()) await pacer.rest(at, source.size);
    }
    disk.truncate(fd, source.size);
    disk.sync(fd);
  } finally {
    disk.close(fd);
    source.close();
  }
}
