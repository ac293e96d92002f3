/** A directory of a test's own, gone when the test is over. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What `scratch` needs of a test or suite context. */
interface Scope {
  after(run: () => void): void;
}

export function scratch(t: Scope): string {
  const path = mkdtempSync(join(tmpdir(), 'etcdkit-test-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
