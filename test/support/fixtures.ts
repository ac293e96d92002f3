/** Files written by real etcd; what each is stands in fixtures/README.md. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const ROOT = fileURLToPath(new URL('../../../fixtures/', import.meta.url));

export const VERSIONS = ['3.4', '3.5', '3.6', '3.7'] as const;

export function fixture(path: string): string {
  return join(ROOT, path);
}

export function readFixture(path: string): Buffer {
  return readFileSync(fixture(path));
}

let unpackedRoot: string | undefined;

/** Unpacks an archive once per process and gives the directory it made; tests must not write there. */
export function unpacked(archive: string, inner = ''): string {
  if (unpackedRoot === undefined) {
    const root = mkdtempSync(join(tmpdir(), 'etcdkit-fixtures-'));
    unpackedRoot = root;
    process.on('exit', () => rmSync(root, { recursive: true, force: true }));
  }
  const target = join(unpackedRoot, basename(archive));
  if (!existsSync(target)) {
    mkdirSync(target);
    if (archive.endsWith('.tar.gz')) execFileSync('tar', ['-xzf', fixture(archive), '-C', target]);
    else writeFileSync(join(target, basename(archive, '.gz')), gunzipSync(readFixture(archive)));
  }
  return join(target, inner);
}

/** Member directories of the data dirs that each version wrote. */
export function memberDir(version: (typeof VERSIONS)[number]): string {
  return unpacked(`datadir/datadir-${version}.tar.gz`, `d${version}/member`);
}

/** What `etcdutl snapshot restore` made: archive, directory in it, and whether zeros are written. */
export const RESTORED = [
  { archive: 'restored-3node-by-3.4', inner: 'r3.4', by: '3.4', zeros: 'write' },
  { archive: 'restored-3node-by-3.5', inner: 'r3.5', by: '3.5', zeros: 'write' },
  { archive: 'restored-3node-by-3.6', inner: 'r3.6', by: '3.6', zeros: 'write' },
  { archive: 'restored-3node-by-3.7', inner: 'r3.7', by: '3.7', zeros: 'omit' },
  { archive: 'restored-bump1000-by-3.5', inner: 'rb3.5', by: '3.5', zeros: 'write' },
  { archive: 'restored-bump1000-by-3.6', inner: 'rb3.6', by: '3.6', zeros: 'write' },
  { archive: 'restored-bump1000-by-3.7', inner: 'rb3.7', by: '3.7', zeros: 'omit' },
] as const;

export function restoredMemberDir({ archive, inner }: { archive: string; inner: string }): string {
  return unpacked(`restore/${archive}.tar.gz`, `${inner}/member`);
}
