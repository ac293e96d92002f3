/** Runs the program as a process. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The repository, seen from `dist/test/cli`. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const BIN = fileURLToPath(new URL('../../../bin/etcdkit.js', import.meta.url));

export interface Ran {
  stdout: string;
  stderr: string;
  exitCode: number | null;
}

export function runProgram(args: readonly string[], environment: Record<string, string> = {}): Ran {
  const { ETCDKIT_COMPAT: _, ...inherited } = process.env;
  const result = spawnSync(process.execPath, [BIN, ...args], {
    encoding: 'utf8',
    env: { ...inherited, ...environment },
    timeout: 60_000,
  });
  return { stdout: result.stdout, stderr: result.stderr, exitCode: result.status };
}
