// Brings a checkout to the state in which bin/ and the tests run: dependencies from the lockfile, tsc, bundle.
// Needs Node and npm alone, does only what is out of date, and says what it does.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  mkdirSync,
  readdirSync,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('.', import.meta.url));
process.chdir(root);
const say = (text) => process.stderr.write(`[build] ${text}\n`);

function run(command, args) {
  const result = spawnSync(command, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    say(`${command} ${args.join(' ')} failed with exit code ${result.status}`);
    process.exit(result.status ?? 1);
  }
}

const digest = (files) => {
  const hash = createHash('sha256');
  for (const file of files) hash.update(file).update(readFileSync(file));
  return hash.digest('hex');
};
const stampOf = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : '');

function* sourceFiles(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (entry.name !== '.cache' && entry.name !== 'golden') yield* sourceFiles(path);
    } else if (entry.name.endsWith('.ts')) yield path;
  }
}

const lockStamp = 'node_modules/.etcdkit-lock';
const lock = digest(['package-lock.json', 'package.json']) + process.versions.modules;
if (stampOf(lockStamp) !== lock) {
  say('installing dependencies from package-lock.json');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  writeFileSync(lockStamp, lock);
}

const buildStamp = 'dist/.etcdkit-sources';
const sources = digest(
  [...sourceFiles('src'), ...sourceFiles('test'), 'tsconfig.json', 'package.json', 'build.mjs'].toSorted(
    (a, b) => (a < b ? -1 : 1),
  ),
);
if (stampOf(buildStamp) !== sources) {
  const began = Date.now();
  if (!existsSync('dist')) mkdirSync('dist');
  rmSync(buildStamp, { force: true });
  run(process.execPath, ['node_modules/typescript/bin/tsc']);
  // Built beside and renamed, so that a command that runs meanwhile finds its parts.
  const fresh = 'dist/bundle.new';
  rmSync(fresh, { recursive: true, force: true });
  const { build } = await import('esbuild');
  await build({
    entryPoints: {
      main: 'dist/src/cli/main.js',
      'sha256-worker': 'dist/src/bytes/sha256-worker.js',
      'password-worker': 'dist/src/server/auth/password-worker.js',
    },
    outdir: fresh,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    minify: true,
    keepNames: true,
    legalComments: 'none',
    external: ['@node-rs/crc32', 'classic-level', 'zlib-sync', 'tar-stream'],
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
  const old = 'dist/bundle.old';
  rmSync(old, { recursive: true, force: true });
  if (existsSync('dist/bundle')) renameSync('dist/bundle', old);
  renameSync(fresh, 'dist/bundle');
  rmSync(old, { recursive: true, force: true });
  chmodSync('bin/etcdkit.js', statSync('bin/etcdkit.js').mode | 0o111);
  writeFileSync(buildStamp, sources);
  say(`compiled and bundled in ${((Date.now() - began) / 1000).toFixed(1)} s`);
}
