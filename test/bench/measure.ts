/** Runs one command as a whole process and measures it from outside: wall, CPU, peak memory. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** GNU time; without it there is no peak memory. */
const GNU_TIME = '/usr/bin/time';

export interface Measurement {
  wallSeconds: number;
  cpuSeconds: number;
  /** Undefined where GNU time is not installed. */
  peakBytes: number | undefined;
}

export interface BenchCommand {
  label: string;
  file: string;
  args: readonly string[];
  env?: Record<string, string>;
  /** The file whose place in the page cache matters; when absent, none does. */
  reads?: string;
  /** Brings the disk to where the command starts; not measured. */
  prepare?(): void;
}

/** Throws when the command fails. */
export function measure(command: BenchCommand): Measurement {
  command.prepare?.();
  const scratch = mkdtempSync(join(tmpdir(), 'etcdkit-bench-'));
  const report = join(scratch, 'time');
  const hasTime = existsSync(GNU_TIME);
  const [file, args] = hasTime
    ? [GNU_TIME, ['-f', '%U %S %M', '-o', report, command.file, ...command.args]]
    : [command.file, [...command.args]];
  const began = performance.now();
  const { status, stderr } = spawnSync(file, args, {
    env: { ...process.env, ...command.env },
    stdio: ['ignore', 'ignore', 'pipe'],
    maxBuffer: 1 << 26,
  });
  const wallSeconds = (performance.now() - began) / 1000;
  try {
    if (status !== 0)
      throw new TypeError(`${command.label} ended with ${status}: ${String(stderr).slice(-500)}`);
    const [user = '0', system = '0', kilobytes] = hasTime
      ? readFileSync(report, 'utf8').trim().split(' ')
      : [];
    return {
      wallSeconds,
      cpuSeconds: Number(user) + Number(system),
      peakBytes: kilobytes === undefined ? undefined : Number(kilobytes) * 1024,
    };
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Takes a file out of the page cache. */
export function makeCold(path: string): void {
  execFileSync('sync');
  execFileSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0'], { stdio: 'ignore' });
}

/** Brings a file into the page cache. */
export function makeWarm(path: string): void {
  execFileSync('dd', [`if=${path}`, 'of=/dev/null', 'bs=4M'], { stdio: 'ignore' });
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
