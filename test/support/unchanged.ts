/** What only reads leaves its input as it was: the same bytes, and the same time of change. */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';

/** Runs `run` and fails when the file at `path` is another one afterwards. */
export async function unchanged<T>(path: string, run: () => T | Promise<T>): Promise<T> {
  const before = stateOf(path);
  const result = await run();
  const after = stateOf(path);
  assert.ok(before.bytes.equals(after.bytes), `${path}: the bytes changed`);
  assert.deepEqual(after.stat, before.stat, `${path}: its time of change or its inode changed`);
  return result;
}

function stateOf(path: string): { bytes: Buffer; stat: { modifiedNs: bigint; inode: bigint; mode: bigint } } {
  const { mtimeNs, ino, mode } = statSync(path, { bigint: true });
  return { bytes: readFileSync(path), stat: { modifiedNs: mtimeNs, inode: ino, mode } };
}
