/**
 * Golden tests: text files of command lines and what they must print. A case is one or more lines that start
 * with `$ `, a line `----`, what went to stdout, `[stderr]` and what went there (when anything did), and
 * `[exit N]`. Lines between cases are comments. Every case runs in a directory of its own that holds a copy of
 * the fixtures, with `etcdkit` and `etcdutl` on its path; several lines of one case are one shell script.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository, seen from `dist/test/support`. */
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const GOLDEN_FOLDER = join(ROOT, 'test', 'golden');
const TIME_LIMIT_MS = 60_000;

/** The environment variable that makes the test write what it sees; the diff is the review. */
export const GOLDEN_VARIABLE = 'ETCDKIT_GOLDEN';

export interface GoldenCase {
  /** Lines before the case: blank ones and remarks. */
  comment: string;
  script: string;
  expected: string;
}

/** All golden files, by the path below `test/golden`. */
export function goldenFiles(): { name: string; path: string }[] {
  const files = readdirSync(GOLDEN_FOLDER, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.txt'))
    .map((entry) => join(entry.parentPath, entry.name));
  return files.sort().map((path) => ({ path, name: relative(GOLDEN_FOLDER, path) }));
}

/** Throws where the text does not follow the form. */
export function parseGolden(text: string): GoldenCase[] {
  const cases: GoldenCase[] = [];
  const lines = text.split('\n');
  let at = 0;
  while (at < lines.length) {
    const comment: string[] = [];
    while (at < lines.length && !lines[at]!.startsWith('$ ')) comment.push(lines[at++]!);
    if (at === lines.length) break;
    const script: string[] = [];
    while (lines[at]?.startsWith('$ ')) script.push(lines[at++]!.slice(2));
    // A case just written has no answer yet.
    const expected: string[] = [];
    if (lines[at] === '----') {
      at++;
      for (;;) {
        const line = lines[at++];
        if (line === undefined) throw new Error(`no [exit N] after: ${script.join(' ; ')}`);
        expected.push(line);
        if (/^\[exit \d+\]$/.test(line)) break;
      }
    }
    cases.push({ comment: comment.join('\n'), script: script.join('\n'), expected: expected.join('\n') });
  }
  return cases;
}

export function formatGolden(cases: readonly GoldenCase[]): string {
  const parts = cases.map(({ comment, script, expected }, index) => {
    const remarks = comment.replace(/^\n+|\n+$/g, '');
    const commands = script.split('\n').map((line) => `$ ${line}`);
    const lines = [...(remarks === '' ? [] : [remarks]), ...commands, '----', expected];
    return `${index === 0 ? '' : '\n'}${lines.join('\n')}\n`;
  });
  return parts.join('');
}

/** Runs one case and gives its answer in the form of the file, with what differs between runs masked. */
export async function runGolden(script: string): Promise<string> {
  const scratch = mkdtempSync(join(tmpdir(), 'etcdkit-golden-'));
  try {
    const bin = join(scratch, 'bin');
    const work = join(scratch, 'work');
    mkdirSync(bin);
    cpSync(join(ROOT, 'fixtures'), work, { recursive: true, dereference: true });
    for (const name of ['etcdkit', 'etcdutl']) symlinkSync(join(ROOT, 'bin', 'etcdkit.js'), join(bin, name));
    const result = await runScript(script, { bin, work });
    return mask(describeResult(result), work);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

interface Result {
  stdout: string;
  stderr: string;
  exit: string;
}

async function runScript(script: string, at: { bin: string; work: string }): Promise<Result> {
  const { ETCDKIT_COMPAT: _, ...environment } = process.env;
  const path = [at.bin, dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);
  const child = spawn('sh', ['-c', script], {
    cwd: at.work,
    env: { ...environment, PATH: path, TZ: 'UTC', LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIME_LIMIT_MS,
  });
  const result: Result = { stdout: '', stderr: '', exit: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      result[name] += text;
    });
  }
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ ...result, exit: String(code ?? signal) }));
  });
}

function describeResult({ stdout, stderr, exit }: Result): string {
  const end = (text: string): string =>
    text === '' || text.endsWith('\n') ? text : `${text}\n[no line end]\n`;
  return `${end(stdout)}${stderr === '' ? '' : `[stderr]\n${end(stderr)}`}[exit ${exit}]`;
}

function mask(text: string, work: string): string {
  return text
    .replaceAll(work, '<work>')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g, '<time>')
    .replace(/(?<![\w.])\d+(?:\.\d+)?(?:ns|µs|ms|s)\b(?! left)/g, (duration) =>
      isSetting(duration) ? duration : '<took>',
    );
}

/** Durations that are written in help and messages rather than measured. */
function isSetting(duration: string): boolean {
  return ['10s', '500ms'].includes(duration);
}
