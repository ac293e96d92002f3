/**
 * Some dozens of damaged files through the program itself: an exit code that is documented, one clear message, no
 * stack trace, in time. `ETCDKIT_SEED` repeats a run.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { damage, describeEdit, randomFor, seedOfRun } from '../support/mutate.ts';
import { scratch } from '../support/scratch.ts';
import { databaseBases, sealed } from './bases.ts';
import { editOf } from './edits.ts';

const ROOT = new URL('../../../', import.meta.url);
const BIN = fileURLToPath(new URL('bin/etcdkit.js', ROOT));
const BUNDLE = fileURLToPath(new URL('dist/bundle/main.js', ROOT));
const SEED = seedOfRun();
const RUNS = 45;
const LIMIT_MS = 10_000;
/** Good, failed, usage, damage, refused, unsupported. */
const EXIT_CODES = [0, 1, 2, 3, 4, 5];
const VERBS: readonly string[][] = [
  ['snapshot', 'verify'],
  ['snapshot', 'verify', '-w', 'json'],
  ['snapshot', 'status'],
  ['snapshot', 'status', '-w', 'table'],
  ['hashkv'],
  ['hashkv', '--rev', '5'],
];

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function runCommand(args: readonly string[]): Promise<Ended> {
  const { ETCDKIT_COMPAT: _, ...environment } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [BIN, ...args], {
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMIT_MS,
      killSignal: 'SIGKILL',
    });
    const ended: Ended = { code: null, stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => (ended[name] += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ ...ended, code }));
  });
}

describe(
  'damaged files through the command line',
  { skip: existsSync(BUNDLE) ? false : 'the program is not built: node build.mjs' },
  () => {
    const directory = scratch({ after });
    const bases = databaseBases(SEED).filter(({ isPlain }) => !isPlain);
    process.stdout.write(`ETCDKIT_SEED=${SEED}\n`);

    test(`${RUNS} runs`, async () => {
      const path = join(directory, 'damaged.db');
      const failures: string[] = [];
      const codes = new Map<number | null, number>();
      for (let i = 0; i < RUNS; i++) {
        const random = randomFor(SEED, 2000, i);
        const base = random.pick(bases);
        const edit = editOf(random, base);
        const isSealed = random.chance(0.5);
        const bytes = isSealed ? sealed(damage(base.bytes, edit)) : damage(base.bytes, edit);
        writeFileSync(path, bytes);
        const args = [...VERBS[i % VERBS.length]!, path];
        const { code, stdout, stderr } = await runCommand(args);
        codes.set(code, (codes.get(code) ?? 0) + 1);
        const problems = [
          EXIT_CODES.includes(code ?? -1) ? '' : `exit code ${code}`,
          /^ {4}at /m.test(stderr + stdout) ? 'a stack trace' : '',
          code !== 0 && !/^(Error|DAMAGED|UNREADABLE)/m.test(stderr + stdout) && !args.includes('json')
            ? 'no clear message'
            : '',
          Buffer.compare(readFileSync(path), bytes) === 0 ? '' : 'the input was changed',
        ].filter((problem) => problem !== '');
        if (problems.length === 0) continue;
        const what = `ETCDKIT_SEED=${SEED} ${base.name}${isSealed ? ', sealed' : ''} ${describeEdit(edit)}`;
        failures.push(
          `${problems.join(', ')}: ${args.slice(0, -1).join(' ')} on ${what}\n${stdout}${stderr}`,
        );
      }
      process.stdout.write(
        `exit codes: ${[...codes].map(([code, count]) => `${code} × ${count}`).join(', ')}\n`,
      );
      assert.deepEqual(failures, []);
    });
  },
);
