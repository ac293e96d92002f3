/** A start of `serve` that is meant to fail. */
import assert from 'node:assert/strict';
import { flagsAt, serveInChild } from '../support/served.ts';

/** Gives how it ended; `state` is that of the directory, which must not change. */
export async function startCommand(
  t: { after(run: () => void): void },
  dataDir: string,
  state: (dataDir: string) => unknown = () => undefined,
): Promise<{ code: number | null; stderr: string }> {
  const before = state(dataDir);
  const refused = await serveInChild(t, flagsAt(dataDir, '--timeout=100ms'));
  const { code } = await refused.ended;
  assert.deepEqual(state(dataDir), before);
  return { code, stderr: refused.log() };
}
