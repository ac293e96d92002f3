/**
 * Builds the real etcd programs once into the cache: `node dist/test/oracle/build.js`.
 *
 * 3.5 to 3.7 are built from the Go modules beside this file, one after the other; 3.4 is unpacked from the
 * distribution's packages. What is up to date is left alone. Without Go it says loudly that nothing is
 * compared, and exits with 1 unless `ETCDKIT_ORACLE=optional`.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  BUILT_VERSIONS,
  OracleError,
  absence,
  cacheFolder,
  expectedStamp,
  isOptional,
  program,
  sourceFolder,
} from './cache.ts';
import type { Version } from './cache.ts';

const say = (text: string): void => void process.stderr.write(`[oracle] ${text}\n`);

function shout(lines: readonly string[]): void {
  const bar = '!'.repeat(78);
  process.stderr.write([bar, ...lines.map((line) => `!! ${line}`), bar, ''].join('\n'));
}

/** Runs a command to its end and returns its stdout; throws with what it said when it fails. */
function run(file: string, args: readonly string[], cwd: string, timeoutMs: number): string {
  const env = { ...process.env, GOWORK: 'off', GOFLAGS: `${process.env['GOFLAGS'] ?? ''} -p=2`.trim() };
  const result = spawnSync(file, args, { cwd, env, encoding: 'utf8', timeout: timeoutMs });
  if (result.error) throw new OracleError(`${file}: ${result.error.message}`, { cause: result.error });
  if (result.status === 0) return result.stdout;
  const said = `${result.stdout}${result.stderr}`.trim().slice(-3000);
  throw new OracleError(`${file} ${args.join(' ')}: exit code ${result.status}\n${said}`);
}

/** Empties a version's folder; the stamp goes first, so that an interrupted build counts as none. */
function emptyFolder(version: Version): string {
  const folder = join(cacheFolder(), version);
  rmSync(join(folder, 'stamp'), { force: true });
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}

function writeStamp(version: Version): void {
  const file = join(cacheFolder(), version, 'stamp');
  writeFileSync(`${file}.new`, expectedStamp(version));
  renameSync(`${file}.new`, file);
}

function buildFromModules(version: Version): void {
  const folder = emptyFolder(version);
  const target = join(folder, 'oracle');
  const args = [
    'build',
    '-trimpath',
    '-buildvcs=false',
    '-mod=readonly',
    '-ldflags=-s -w',
    '-o',
    target,
    '.',
  ];
  run('go', args, sourceFolder(version), 15 * 60_000);
  writeStamp(version);
}

function downloadPackages(folder: string): void {
  const download = (): unknown =>
    run('apt-get', ['download', 'etcd-server', 'etcd-client'], folder, 2 * 60_000);
  try {
    download();
  } catch {
    say('no package yet: apt-get update');
    run('apt-get', ['update'], folder, 3 * 60_000);
    download();
  }
}

/** Throws when the distribution has no etcd 3.4 (newer ones carry later releases). */
function unpackPackages(): void {
  const folder = emptyFolder('3.4');
  downloadPackages(folder);
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.deb'))) {
    run('dpkg-deb', ['-x', name, '.'], folder, 60_000);
    rmSync(join(folder, name));
  }
  const answer = run(join(folder, 'usr', 'bin', 'etcd'), ['--version'], folder, 10_000);
  if (!answer.startsWith('etcd Version: 3.4.')) {
    throw new OracleError(`the packages hold another version: ${answer.split('\n')[0]}`);
  }
  writeStamp('3.4');
}

/** Builds one version unless it is up to date, and returns what went wrong, if anything. */
function provide(version: Version): string | undefined {
  if (absence(version) === undefined) {
    say(`etcd ${version}: up to date`);
    return undefined;
  }
  const start = Date.now();
  try {
    if (version === '3.4') unpackPackages();
    else buildFromModules(version);
    const { file, args } = program(version, 'etcd');
    const [answer] = run(file, [...args, '--version'], cacheFolder(), 30_000).split('\n');
    say(`${answer}: ready after ${((Date.now() - start) / 1000).toFixed(1)} s`);
    return undefined;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const folder = emptyFolder(version);
    writeFileSync(join(folder, 'absent'), `${why.split('\n')[0]}\n`);
    return why;
  }
}

function hasGo(): boolean {
  return spawnSync('go', ['version']).status === 0;
}

function main(): number {
  mkdirSync(cacheFolder(), { recursive: true });
  const debian = provide('3.4');
  if (debian !== undefined)
    shout(['etcd 3.4 is ABSENT: nothing is compared with it.', ...debian.split('\n')]);

  const isBuilt = BUILT_VERSIONS.every((version) => absence(version) === undefined);
  if (!isBuilt && !hasGo()) {
    shout(['No Go toolchain: NOTHING WAS COMPARED with real etcd 3.5, 3.6 and 3.7.', 'Go 1.26 is needed.']);
    return isOptional() ? 0 : 1;
  }
  const failed = BUILT_VERSIONS.filter((version) => {
    const why = provide(version);
    if (why !== undefined) shout([`etcd ${version} did not build: nothing is compared with it.`, why]);
    return why !== undefined;
  });
  return failed.length === 0 || isOptional() ? 0 : 1;
}

process.exitCode = main();
