// Runs one suite with node's own test runner: `node test/run.mjs unit|oracle|seeded|soak [name part…]`. Fails when a
// test fails, when no test ran, or when the suite took longer than its budget. The last line is for machines:
// `N passed, N failed, N skipped`.
import { existsSync, readdirSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

const MINUTE = 60;
const SPECIAL = ['oracle', 'fuzz', 'crash', 'hostile', 'bench', 'soak'];
const SUITES = {
  unit: { budget: 5 * MINUTE, includes: (folder) => !SPECIAL.includes(folder) },
  oracle: { budget: 20 * MINUTE, includes: (folder) => folder === 'oracle' },
  seeded: { budget: 20 * MINUTE, includes: (folder) => ['fuzz', 'crash', 'hostile'].includes(folder) },
  // The same files with their long versions; no part of the gate.
  soak: {
    budget: 180 * MINUTE,
    includes: (folder) => folder === 'oracle',
    environment: { ETCDKIT_SOAK: '1' },
  },
};

const [suiteName = '', ...nameParts] = process.argv.slice(2);
const suite = SUITES[suiteName];
if (!suite) {
  process.stderr.write(
    `usage: node test/run.mjs ${Object.keys(SUITES).join('|')} [part of a file's name…]\n`,
  );
  process.exit(2);
}

Object.assign(process.env, suite.environment);

const root = fileURLToPath(new URL('..', import.meta.url));
const compiled = join(root, 'dist', 'test');
const files = readdirSync(compiled, { recursive: true })
  .filter((path) => path.endsWith('.test.js') && suite.includes(path.split(sep)[0]))
  // The compiler leaves behind what was compiled from files that are gone.
  .filter((path) => existsSync(join(root, 'test', path.replace(/\.js$/, '.ts'))))
  .filter((path) => nameParts.length === 0 || nameParts.some((part) => path.includes(part)))
  .sort()
  .map((path) => join(compiled, path));

const began = performance.now();
const failedFiles = new Set();
const emptyFiles = new Set();
const counts = { passed: 0, failed: 0, skipped: 0 };

function count({ details, skip, todo, file, name }, isPassed) {
  // A describe block is not a test.
  if (details.type === 'suite' && isPassed) return;
  // A file shows up as a test of its own when it could not run, and when there is no test in it.
  if (isPassed && files.includes(resolve(root, name))) {
    emptyFiles.add(relative(root, name));
    return;
  }
  if (!isPassed && !todo) {
    if (file) failedFiles.add(relative(root, file));
    if (details.type !== 'suite') counts.failed++;
  } else if (skip !== undefined || todo !== undefined) counts.skipped++;
  else counts.passed++;
}

if (files.length > 0) {
  const stream = run({ files, concurrency: 2 });
  stream.on('test:pass', (event) => count(event, true));
  stream.on('test:fail', (event) => count(event, false));
  const report = stream.compose(new spec());
  for await (const text of report) process.stdout.write(text);
}

const seconds = (performance.now() - began) / 1000;
const problems = [];
if (counts.failed > 0 || failedFiles.size > 0)
  problems.push(`failed in ${[...failedFiles].join(', ') || 'a test'}`);
if (emptyFiles.size > 0) problems.push(`no test in ${[...emptyFiles].join(', ')}`);
if (counts.passed + counts.failed === 0) problems.push('no test ran');
if (seconds > suite.budget) problems.push(`over its budget of ${suite.budget} s`);

const verdict = problems.length === 0 ? 'passed' : problems.join('; ');
process.stdout.write(
  `\nsuite ${suiteName}: ${files.length} files in ${seconds.toFixed(1)} s of ${suite.budget} s: ${verdict}\n`,
);
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
