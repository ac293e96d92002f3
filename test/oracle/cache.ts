/**
 * Where the real etcd programs lie, what they must have been built from, and which are there.
 *
 * The cache folder holds one folder per version: `<version>/stamp` is written last, so a version counts as
 * present only if its build came to the end and its sources have not changed since.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A release line of etcd; the patch releases are named in each `etcd-<version>/go.mod`. */
export type Version = '3.4' | '3.5' | '3.6' | '3.7';

/** Our own clients of a server; they exist once, in the 3.6 build. */
export type Client = 'load' | 'bench' | 'linear' | 'stall' | 'kube' | 'apicheck' | 'authmatrix';

/** The programs a version can be asked for. The clients (3.6) and `bbolt` (3.7) exist once. */
export type Tool = 'etcd' | 'etcdctl' | 'etcdutl' | 'bbolt' | Client;

/** Built from Go modules, oldest first. */
export const BUILT_VERSIONS: readonly Version[] = ['3.5', '3.6', '3.7'];

/** Every version, oldest first; 3.4 is on no module proxy and comes as Debian packages. */
export const VERSIONS: readonly Version[] = ['3.4', ...BUILT_VERSIONS];

/** Something about the oracle itself went wrong: a program is absent, did not start, or took too long. */
export class OracleError extends Error {
  override name = 'OracleError';
}

/** The folder `test/oracle` of the checkout, found from the compiled file as well as from the source. */
export const ORACLE_FOLDER = join(checkoutFolder(dirname(fileURLToPath(import.meta.url))), 'test', 'oracle');

function checkoutFolder(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder;
  const parent = dirname(folder);
  if (parent === folder) throw new OracleError('no package.json above the oracle');
  return checkoutFolder(parent);
}

/** Where the built programs are kept: `ETCDKIT_ORACLE_CACHE`, else `test/oracle/.cache`. */
export function cacheFolder(): string {
  const chosen = process.env['ETCDKIT_ORACLE_CACHE'];
  return chosen ? resolve(chosen) : join(ORACLE_FOLDER, '.cache');
}

/** True when `ETCDKIT_ORACLE=optional` allows tests to be skipped because the oracle is absent. */
export function isOptional(): boolean {
  return process.env['ETCDKIT_ORACLE'] === 'optional';
}

/** The folder of a version's go.mod and sources. */
export function sourceFolder(version: Version): string {
  return join(ORACLE_FOLDER, `etcd-${version}`);
}

/** What a version's `stamp` must say: a hash over its go.mod, go.sum and Go files. */
export function expectedStamp(version: Version): string {
  const hash = createHash('sha256').update(`${version} ${process.platform} ${process.arch}\n`);
  if (version !== '3.4') {
    const folder = sourceFolder(version);
    for (const name of readdirSync(folder).sort()) {
      if (/\.go$|^go\./.test(name)) hash.update(`${name}\n`).update(readFileSync(join(folder, name)));
    }
  }
  return hash.digest('hex');
}

/** Why a version cannot be used, or undefined when it can. */
export function absence(version: Version): string | undefined {
  const folder = join(cacheFolder(), version);
  const stamp = join(folder, 'stamp');
  if (!existsSync(stamp)) {
    const note = join(folder, 'absent');
    return existsSync(note) ? readFileSync(note, 'utf8').trim() : 'not built (run dist/test/oracle/build.js)';
  }
  if (readFileSync(stamp, 'utf8') === expectedStamp(version)) return undefined;
  return 'built from other sources (run dist/test/oracle/build.js again)';
}

/**
 * What there is to compare with. `available` means that every version built from Go is there; `reason` says
 * what is missing, 3.4 included, and `versions` lists what can be used either way.
 */
export function oracle(): { available: boolean; reason?: string; versions: Version[] } {
  const absent = VERSIONS.flatMap((version) => {
    const why = absence(version);
    return why === undefined ? [] : [{ version, text: `etcd ${version}: ${why}` }];
  });
  const versions = VERSIONS.filter((version) => absent.every((each) => each.version !== version));
  const available = BUILT_VERSIONS.every((version) => versions.includes(version));
  if (absent.length === 0) return { available, versions };
  return { available, reason: absent.map((each) => each.text).join('; '), versions };
}

/**
 * For a test's `skip` option: the reason why a version is left out, or false to run it. An absent version
 * built from Go is left out only under `ETCDKIT_ORACLE=optional`; otherwise the test runs, and fails.
 */
export function skipReason(version: Version): string | false {
  const why = absence(version);
  if (why === undefined || (version !== '3.4' && !isOptional())) return false;
  return `NOT COMPARED with etcd ${version}: ${why}`;
}

/** How a tool is called: the file, and the arguments that come before its own. */
export function program(version: Version, tool: Tool): { file: string; args: string[] } {
  const why = absence(version);
  if (why !== undefined) throw new OracleError(`etcd ${version} is absent: ${why}`);
  const folder = join(cacheFolder(), version);
  if (version !== '3.4') return { file: join(folder, 'oracle'), args: [tool] };
  if (tool !== 'etcd' && tool !== 'etcdctl') throw new OracleError(`etcd 3.4 has no ${tool}`);
  return { file: join(folder, 'usr', 'bin', tool), args: [] };
}
