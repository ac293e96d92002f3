/** Every read-only verb, and defrag to a new file, on one path: only the allowed ends, in time, the input untouched. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, statSync } from 'node:fs';
import type { Layer, VerifyReport } from '../../src/check/report.ts';
import { verify } from '../../src/check/verify.ts';
import { ToolError } from '../../src/errors.ts';
import { plainContext } from '../../src/ops/context.ts';
import { hashKV } from '../../src/ops/inspect/hashkv.ts';
import { snapshotStatus } from '../../src/ops/snapshot/status.ts';
import { defragment } from '../../src/ops/upkeep/defrag.ts';
import { hastyDisk } from '../support/faulty-disk.ts';
import type { Watchdog } from './watchdog.ts';

/** What one call on a small damaged file may take. */
const STEP_LIMIT_MS = 2000;
const INTERNAL = /undefined|NaN|\[object|TypeError|RangeError/;

const CONTEXT = plainContext({ disk: hastyDisk() });

/** What an operation came to: its value, or the error it is allowed to throw. */
export type End<T> = { value: T; error?: undefined } | { value?: undefined; error: ToolError };

export async function endOf<T>(
  what: string,
  run: () => Promise<T>,
  limitMs = STEP_LIMIT_MS,
): Promise<End<T>> {
  const began = performance.now();
  let end: End<T>;
  try {
    end = { value: await run() };
  } catch (error) {
    if (!(error instanceof ToolError) || error.code === 'unexpected') throw error;
    assertReadable(error.message);
    end = { error };
  }
  const took = performance.now() - began;
  assert.ok(took < limitMs, `${what} took ${took.toFixed(0)} ms`);
  return end;
}

/** A message is for people: no trace of a value that was not there. */
function assertReadable(message: string): void {
  assert.doesNotMatch(message, INTERNAL);
}

export interface Outcome {
  report: VerifyReport;
  isDefragmented: boolean;
}

interface ProbeOptions {
  watchdog: Watchdog;
  /** For the watchdog. */
  name: string;
  /** A path that does not exist, on the same disk. */
  output: string;
  /** Verify alone, and these layers of it: the file is none of etcd's. */
  layers?: readonly Layer[];
}

/** `bytes` are what the file at `path` holds; undefined for a directory, which the caller looks after. */
export async function probe(
  path: string,
  bytes: Uint8Array | undefined,
  options: ProbeOptions,
): Promise<Outcome> {
  const { watchdog, name, output } = options;
  const before = statSync(path, { bigint: true }).mtimeNs;
  watchdog.step(`verify: ${name}`);
  const verified = await endOf('verify', () => verify(path, { layers: options.layers }));
  const report = verified.value;
  assert.ok(report, `verify threw ${verified.error?.code}: ${verified.error?.message}`);
  for (const { message } of report.findings) assertReadable(message);
  let isDefragmented = false;
  if (!options.layers) {
    watchdog.step(`status: ${name}`);
    await endOf('status', () => snapshotStatus(path, CONTEXT));
    watchdog.step(`hashkv: ${name}`);
    await endOf('hashkv', () => hashKV(path, { revision: 0 }, CONTEXT));
    watchdog.step(`defrag: ${name}`);
    const defrag = await endOf('defrag', () => defragment({ file: path, output }, { timeoutMs: 1 }, CONTEXT));
    isDefragmented = defrag.value !== undefined;
    rmSync(output, { force: true });
  }
  if (bytes) {
    assert.equal(statSync(path, { bigint: true }).mtimeNs, before, 'the input was written to');
    assert.ok(Buffer.compare(readFileSync(path), bytes) === 0, 'the input was changed');
  }
  return { report, isDefragmented };
}
