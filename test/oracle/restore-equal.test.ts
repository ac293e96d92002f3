// What we restore beside what etcdutl restores, and what we refuse beside what it refuses.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { decodeSnapFile } from '../../src/format/snap/file.ts';
import { differingRows, readDatabaseRows } from '../support/database-rows.ts';
import { fixture } from '../support/fixtures.ts';
import { scratch } from '../support/scratch.ts';
import {
  BUILT_VERSIONS,
  etcdctl,
  etcdutl,
  skipReason,
  type ToolResult,
  type Version,
  VERSIONS,
} from './etcd.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const SEGMENT = '0000000000000000-0000000000000000.wal';
const CLUSTER = 'a=http://127.0.0.1:41101,b=http://127.0.0.1:41102,c=http://127.0.0.1:41103';

function ours(args: readonly string[], cwd: string, compat?: Version): Promise<ToolResult> {
  const leading = compat === undefined ? [] : [`--compat=${compat}`];
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...leading, ...args], { cwd }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

function theirs(version: Version, args: readonly string[], cwd: string): Promise<ToolResult> {
  return version === '3.4' ? etcdctl(version, args, { cwd }) : etcdutl(version, args, { cwd });
}

/** The columns of a log line that are not time and place. */
function messages(stderr: string, kept: RegExp): string[] {
  return stderr
    .split('\n')
    .map((line) => line.split('\t').slice(3).join('\t'))
    .filter((line) => kept.test(line));
}

for (const version of VERSIONS) {
  test(`etcdutl ${version} and we make the same member`, { skip: skipReason(version) }, async (t) => {
    const dir = scratch(t);
    const snapshot = fixture(`snap/snap-${version}.db`);
    const given = (name: string): string[] => [
      'snapshot',
      'restore',
      snapshot,
      '--name=b',
      `--initial-cluster=${CLUSTER}`,
      '--initial-cluster-token=tokR',
      '--initial-advertise-peer-urls=http://127.0.0.1:41102',
      `--data-dir=${name}`,
      ...(version === '3.4' ? [] : ['--bump-revision=77', '--mark-compacted']),
    ];
    const upstream = await theirs(version, given('theirs'), dir);
    assert.equal(upstream.code, 0, upstream.stderr);
    const compat = version === '3.4' ? undefined : version;
    const result = await ours(given('ours'), dir, compat);
    assert.equal(result.code, 0, result.stderr);
    if (compat) assert.equal(result.stdout, upstream.stdout);

    const member = (who: string): string => join(dir, who, 'member');
    const [a, b] = [member('ours'), member('theirs')];
    assert.ok(
      readFileSync(join(a, 'wal', SEGMENT)).equals(readFileSync(join(b, 'wal', SEGMENT))),
      'the logs differ',
    );
    const names = readdirSync(join(b, 'snap')).sort();
    assert.deepEqual(readdirSync(join(a, 'snap')).sort(), names);
    const snaps = [a, b].map((path) => decodeSnapFile(readFileSync(join(path, 'snap', names[0]!))));
    assert.deepEqual(snaps[0]!.metadata, snaps[1]!.metadata);
    const different = differingRows(
      readDatabaseRows(join(a, 'snap/db')),
      readDatabaseRows(join(b, 'snap/db')),
    );
    // 3.4 leaves the members of the old cluster there, and knows no confState.
    if (version === '3.4')
      assert.ok(
        different.every((name) => name.startsWith('members/')),
        different.join(),
      );
    else assert.deepEqual(different, ['meta/confState']);

    if (compat) {
      const kept = /^(restor(ing|ed) snapshot|Trimming|bumping|marking|added member)/;
      const lines = (text: string): string[] => messages(text.replaceAll('theirs', 'ours'), kept);
      assert.deepEqual(lines(result.stderr), lines(upstream.stderr));
      assert.equal(lines(result.stderr).length, 8);
    }
  });
}

/** Arguments after `snapshot restore`; the last line of what is said, and the exit code, must be etcdutl's. */
const REFUSED: readonly (readonly string[])[] = [
  [],
  ['good.db', 'good.db'],
  ['good.db', '--bump-revision=5'],
  ['good.db', '--mark-compacted'],
  ['good.db', '--bump-revision=x', '--mark-compacted'],
  ['good.db', '--bump-revision=-1', '--mark-compacted'],
  ['good.db', '--no-such-flag'],
  ['good.db', '--data-dir=full'],
  ['good.db', '--data-dir=good.db'],
  ['good.db', '--wal-dir=full'],
  ['good.db', '--wal-dir=void'],
  ['good.db', '--name=foo'],
  [
    'good.db',
    '--name=foo',
    '--initial-cluster=foo=http://127.0.0.1:2380',
    '--initial-advertise-peer-urls=http://127.0.0.1:2381',
  ],
  ['good.db', '--initial-cluster=default=http://localhost:2380,default=http://localhost:2381'],
  ['good.db', '--initial-advertise-peer-urls=http://localhost:2380,http://localhost:2381'],
  ['good.db', '--initial-advertise-peer-urls=http://localhost:2380,http://localhost:2380'],
  ['good.db', '--initial-cluster=default=http://localhost:2380,b=http://localhost:2380'],
  ['good.db', '--initial-cluster=default'],
  ['good.db', '--initial-cluster='],
  ['good.db', '--initial-cluster=default=localhost:2380'],
  ['good.db', '--initial-cluster=default=127.0.0.1:2380'],
  ['good.db', '--initial-cluster=default=http://localhost'],
  ['good.db', '--initial-cluster=default=http://localhost:2380/'],
  ['good.db', '--initial-cluster=default=http://localhost:port'],
  ['good.db', '--initial-cluster=default=http://[::1]:2380', '--initial-advertise-peer-urls=http://::1:2380'],
  ['good.db', '--initial-advertise-peer-urls='],
  ['nofile.db'],
  ['empty.db'],
  ['short.db'],
  ['raw.db'],
  ['flipped.db'],
];

for (const version of BUILT_VERSIONS) {
  describe(`refused as etcdutl ${version} does`, { concurrency: 4, skip: skipReason(version) }, () => {
    for (const args of REFUSED) {
      test(args.join(' ') || 'no arguments', async (t) => {
        const run = async (
          who: (given: readonly string[], cwd: string) => Promise<ToolResult>,
        ): Promise<string> => {
          const dir = scratch(t);
          prepare(dir);
          const flags =
            version === '3.5' && !args.some((arg) => arg.startsWith('--data-dir')) ? ['--data-dir=d'] : [];
          const { code, stderr } = await who(['snapshot', 'restore', ...args, ...flags], dir);
          const said = stderr.split('\n').filter((line) => line.startsWith('Error: '));
          return `${said.at(-1)} [exit ${code}]`;
        };
        const upstream = await run((given, cwd) => theirs(version, given, cwd));
        assert.equal(await run((given, cwd) => ours(given, cwd, version)), upstream);
      });
    }
  });
}

function prepare(dir: string): void {
  const good = join(dir, 'good.db');
  copyFileSync(fixture('snap/snap-3.6.db'), good);
  for (const name of ['raw.db', 'short.db', 'flipped.db']) copyFileSync(good, join(dir, name));
  truncateSync(join(dir, 'raw.db'), 40_960);
  truncateSync(join(dir, 'short.db'), 31);
  const bytes = readFileSync(good);
  bytes[12_345]! ^= 16;
  writeFileSync(join(dir, 'flipped.db'), bytes);
  writeFileSync(join(dir, 'empty.db'), '');
  mkdirSync(join(dir, 'full'));
  mkdirSync(join(dir, 'void'));
  writeFileSync(join(dir, 'full/file'), '');
}
