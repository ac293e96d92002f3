/** House rules as tests: who may import whom, sizes, mirrored tests, owners of dependencies, one way to fail. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import test from 'node:test';
import { projectRoot } from './support/project.ts';

const ROOT = projectRoot();
const FILE_LINES_MAX = 400;
const IMPORT = /^\s*(?:import|export)\s[^'"]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm;

/** What each layer may import besides itself. `errors.ts` is open to all. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  bytes: [],
  format: ['bytes'],
  store: ['bytes', 'format'],
  check: ['bytes', 'format', 'store'],
  rpc: ['bytes', 'format'],
  client: ['bytes', 'format', 'rpc'],
  ops: ['bytes', 'format', 'store', 'check', 'client'],
  server: ['bytes', 'format', 'store', 'check', 'rpc'],
  cli: ['bytes', 'format', 'store', 'check', 'ops', 'server'],
};

/** Folders or files that may import each package. */
const OWNERS: Record<string, string> = {
  'crc-32/crc32c.js': 'bytes/crc32c.ts',
  '@node-rs/crc32': 'bytes/crc32c.ts',
  yargs: 'cli/',
  'yargs/helpers': 'cli/',
  pino: 'cli/',
  yaml: 'cli/serve/',
  'prom-client': 'server/monitor/metrics.ts',
  jose: 'server/auth/',
  bcryptjs: 'server/auth/',
  '@peculiar/x509': 'server/tls/',
  'reflect-metadata': 'server/tls/',
};

/** Formats know none but themselves; all of them may use proto. */
const SHARED_FORMATS = ['proto', 'ids.ts', 'datadir.ts'];

interface SourceFile {
  /** Below src, with slashes. */
  path: string;
  text: string;
  imports: string[];
}

function sourceFiles(folder: string): SourceFile[] {
  const files: SourceFile[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts') || entry.parentPath.includes('.cache')) continue;
    const full = join(entry.parentPath, entry.name);
    const text = readFileSync(full, 'utf8');
    const imports = [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3]!);
    files.push({ path: relative(folder, full), text, imports });
  }
  return files;
}

const SOURCES = sourceFiles(join(ROOT, 'src'));
const TESTS = sourceFiles(join(ROOT, 'test'));

/** The file below src that an import names; undefined for packages. */
function targetOf(file: SourceFile, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  return relative(join(ROOT, 'src'), resolve(ROOT, 'src', dirname(file.path), specifier));
}

function assertNone(problems: readonly string[]): void {
  assert.deepEqual([...problems], []);
}

test('layers import only what lies below them', () => {
  const problems: string[] = [];
  for (const file of SOURCES) {
    const layer = file.path.split('/')[0]!;
    const allowed = MAY_IMPORT[layer];
    if (!allowed) continue;
    for (const specifier of file.imports) {
      const target = targetOf(file, specifier);
      if (target === undefined || target === 'errors.ts') continue;
      const other = target.split('/')[0]!;
      if (other !== layer && !allowed.includes(other)) problems.push(`${file.path} imports ${target}`);
    }
  }
  assertNone(problems);
});

test('formats do not know one another', () => {
  const problems: string[] = [];
  for (const file of SOURCES) {
    const [layer, format, rest] = file.path.split('/');
    if (layer !== 'format' || rest === undefined) continue;
    for (const specifier of file.imports) {
      const [otherLayer, other] = targetOf(file, specifier)?.split('/') ?? [];
      if (otherLayer !== 'format' || other === format || SHARED_FORMATS.includes(other!)) continue;
      problems.push(`${file.path} imports ${specifier}`);
    }
  }
  assertNone(problems);
});

test('no import goes in a circle', () => {
  const graph = new Map(SOURCES.map((file) => [file.path, valueImports(file)]));
  const done = new Set<string>();
  const problems: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) problems.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
    if (done.has(path) || trail.includes(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  assertNone(problems);
});

/** Imports that are followed when a file is loaded. */
function valueImports(file: SourceFile): string[] {
  const text = file.text.replaceAll(/^import type [^;]+;/gm, '');
  return [...text.matchAll(IMPORT)]
    .filter((match) => match[3] === undefined)
    .map((match) => targetOf(file, match[1] ?? match[2]!))
    .filter((target) => target !== undefined);
}

test('each package has one owner', () => {
  const problems: string[] = [];
  for (const file of SOURCES) {
    for (const specifier of file.imports) {
      if (specifier.startsWith('.') || specifier.startsWith('node:')) continue;
      const owner = OWNERS[specifier];
      if (owner === undefined || !file.path.startsWith(owner))
        problems.push(`${file.path} imports ${specifier}`);
    }
  }
  assertNone(problems);
});

test('files can be read in one sitting', () => {
  const long = [...SOURCES, ...TESTS].filter((file) => file.text.split('\n').length - 1 > FILE_LINES_MAX);
  assertNone(long.map((file) => `${file.path} has ${file.text.split('\n').length - 1} lines`));
});

test('files are kebab-case nouns, and none is a drawer for everything', () => {
  const bad = SOURCES.filter(({ path }) => !/^(?:[a-z0-9-]+\/)*[a-z0-9-]+(?:\.d)?\.ts$/.test(path));
  const drawers = SOURCES.filter(({ path }) =>
    /(?:^|\/)(?:utils?|helpers?|common|misc|manager)(?:\/|\.ts)/.test(path),
  );
  assertNone([...bad, ...drawers].map(({ path }) => path));
});

test('every test mirrors a source file or stands in a folder of its own', () => {
  const own = [
    'cli/golden.test.ts',
    'contract/',
    'golden/',
    'fuzz/',
    'oracle/',
    'crash/',
    'bench/',
    'support/',
    'tidy.test.ts',
    'package/',
  ];
  const problems = TESTS.filter(
    ({ path }) => path.endsWith('.test.ts') && !own.some((prefix) => path.startsWith(prefix)),
  )
    .filter(({ path }) => {
      const source = path.replace(/\.test\.ts$/, '.ts');
      const folder = path.replace(/\.test\.ts$/, '');
      return !existsSync(join(ROOT, 'src', source)) && !existsSync(join(ROOT, 'src', folder));
    })
    .map(({ path }) => path);
  assertNone(problems);
});

test('nothing throws a bare Error, exits, or prints below the command line', () => {
  const problems: string[] = [];
  for (const { path, text } of SOURCES) {
    if (/new Error\(/.test(text)) problems.push(`${path}: new Error`);
    if (!path.startsWith('cli/') && /process\.exit|console\.|process\.std(?:out|err)/.test(text))
      problems.push(`${path}: prints or exits`);
    if (path !== 'cli/exit.ts' && /process\.exit\b|process\.exitCode/.test(text))
      problems.push(`${path}: sets the exit code`);
    if (/\b(?:TODO|FIXME|XXX)\b/.test(text)) problems.push(`${path}: unfinished work`);
    if (/@ts-(?:ignore|expect-error|nocheck)|\bas any\b/.test(text))
      problems.push(`${path}: gives up a type`);
  }
  assertNone(problems);
});

test('every source file says what it owns', () => {
  const silent = SOURCES.filter(({ path, text }) => !path.endsWith('.d.ts') && !text.startsWith('/**'));
  assertNone(silent.map(({ path }) => path));
});

test('no source file is dead', () => {
  const used = new Set(SOURCES.flatMap((file) => file.imports.map((specifier) => targetOf(file, specifier))));
  const workers = ['bytes/sha256-worker.ts', 'server/auth/password-worker.ts'];
  const entries = ['index.ts', 'cli/main.ts', ...workers, 'bytes/crc-32.d.ts'];
  assertNone(SOURCES.map(({ path }) => path).filter((path) => !used.has(path) && !entries.includes(path)));
});

test('the lockfile names no registry', () => {
  assert.doesNotMatch(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'), /"resolved"/);
});
