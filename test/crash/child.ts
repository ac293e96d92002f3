/** Runs victims, and follows them from outside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Readable } from 'node:stream';
import { BIN, ROOT } from '../cli/program.ts';
import type { Job } from './victim.ts';

const VICTIM = fileURLToPath(new URL('./victim.js', import.meta.url));

export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
  /** What the victim said, line by line. */
  trace: string[];
  /** By its own clock; undefined when it did not get to the end. */
  tookMs: number | undefined;
}

export interface Victim {
  child: ChildProcess;
  /** Everything is loaded, and the operation begins. */
  hasBegun: Promise<void>;
  ending: Promise<Ending>;
}

export function startVictim(job: Job): Victim {
  const child = spawn(process.execPath, [VICTIM, JSON.stringify(job)], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let stderr = '';
  let begin = (): void => {};
  const hasBegun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  child.stderr!.on('data', (text: Buffer) => (stderr += text.toString()));
  (child.stdio[3] as Readable).on('data', (text: Buffer) => {
    said += text.toString();
    if (said.includes('go\n')) begin();
  });
  const ending = once(child, 'close').then((end) => {
    begin();
    const [code, signal] = end as [number | null, NodeJS.Signals | null];
    const trace = said.split('\n').slice(0, -1);
    const [done, ms] = trace.at(-1)?.split(' ') ?? [];
    return { code, signal, stderr, trace, tookMs: done === 'done' ? Number(ms) : undefined };
  });
  return { child, hasBegun, ending };
}

/** The bundle where there is one, as users run it. */
export function startProgram(
  args: readonly string[],
  environment: Record<string, string> = {},
): { child: ChildProcess; ending: Promise<Omit<Ending, 'trace'> & { tookMs: number }> } {
  const program = existsSync(join(ROOT, 'dist/bundle/main.js')) ? BIN : join(ROOT, 'dist/src/cli/main.js');
  const { ETCDKIT_COMPAT: _, ...inherited } = process.env;
  const env = { ...inherited, ...environment };
  const began = performance.now();
  // A process group of its own, as a terminal makes it: Ctrl-C goes to all in it.
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env,
    detached: true,
  });
  let stderr = '';
  child.stderr!.on('data', (text: Buffer) => (stderr += text.toString()));
  const ending = once(child, 'close').then((end) => {
    const [code, signal] = end as [number | null, NodeJS.Signals | null];
    return { code, signal, stderr, tookMs: performance.now() - began };
  });
  return { child, ending };
}

/** Runs all jobs, a few at a time. */
export async function inParallel<T>(
  items: readonly T[],
  run: (item: T, index: number) => Promise<void>,
  width = 2,
): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      await run(items[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: width }, work));
}
