/** The sound files that get damaged. */
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import type { Layer } from '../../src/check/report.ts';
import { readFixture, unpacked, VERSIONS } from '../support/fixtures.ts';
import { Random } from '../support/mutate.ts';
import { type DatabaseMap, mapDatabase } from './database-map.ts';
import { generateDatabase } from './generated-database.ts';
import { readFileSync } from 'node:fs';

export interface Base {
  name: string;
  /** Without trailer. */
  bytes: Uint8Array;
  map: DatabaseMap;
  /** A database of bbolt, but not etcd's: only its pages mean something. */
  isPlain: boolean;
  /** Mutations of one run. */
  rounds: number;
}

export const PAGES_ONLY: readonly Layer[] = ['file', 'pages'];
const TRAILER_SIZE = 32;

/** `bytes` with the SHA-256 that a backup ends with. */
export function sealed(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, createHash('sha256').update(bytes).digest()]);
}

function unsealed(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(
    bytes.subarray(0, bytes.length - (bytes.length % 512 === TRAILER_SIZE ? TRAILER_SIZE : 0)),
  );
}

function base(name: string, bytes: Uint8Array, rounds: number, isPlain = false): Base {
  return { name, bytes, map: mapDatabase(bytes, { isPlain }), isPlain, rounds };
}

/** A raw database as its server left it; preallocated space is cut to a few pages. */
function rawDatabase(archive: string, inner: string): Uint8Array {
  const bytes = readFileSync(unpacked(archive, `${inner}/member/snap/db`));
  const { pageLimit, pageSize } = mapDatabase(bytes);
  return Uint8Array.from(bytes.subarray(0, (pageLimit + 2) * pageSize));
}

/** New content in each run for the generated ones, after `seed`. */
export function databaseBases(seed: number): Base[] {
  const gz = (path: string): Uint8Array => unsealed(gunzipSync(readFixture(path)));
  const generated = (name: string, rounds: number, options: Parameters<typeof generateDatabase>[1]): Base =>
    base(name, generateDatabase(new Random(seed), options), rounds);
  return [
    ...VERSIONS.map((version) =>
      base(`snap-${version}`, unsealed(readFixture(`snap/snap-${version}.db`)), 280),
    ),
    base('kubernetes', gz('kubernetes/k8s-small-3.6.db.gz'), 320),
    base('datadir-3.6', rawDatabase('datadir/datadir-3.6.tar.gz', 'd3.6'), 120),
    base('alarm and learner', rawDatabase('datadir/misc-alarm-downgrade-promote-3.6.tar.gz', 'mi'), 60),
    base('bumped', rawDatabase('restore/restored-bump1000-by-3.6.tar.gz', 'rb3.6'), 120),
    generated('1 KiB pages, freelist', 240, { pageSize: 1024, keys: 80, changes: 500, freePages: 3 }),
    generated('16 KiB pages', 120, { pageSize: 16384, keys: 100, changes: 900, freePages: 0 }),
    generated('64 KiB pages, freelist', 80, { pageSize: 65536, keys: 60, changes: 300, freePages: 2 }),
    generated('pending compaction', 160, {
      pageSize: 4096,
      keys: 60,
      changes: 300,
      freePages: 0,
      isCompacting: true,
    }),
    ...[1024, 2048, 8192, 16384, 65536].map((size) =>
      base(`bbolt ${size}`, gz(`bbolt/ps${size}.db.gz`), 40, true),
    ),
    base('bbolt freelist', gz('bbolt/smallfl.db.gz'), 60, true),
  ];
}
