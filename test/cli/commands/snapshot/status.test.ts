/** Byte for byte what each etcdutl printed for each fixture. */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeSync,
  closeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT, runProgram } from '../../program.ts';

const EXPECTED = join(ROOT, 'fixtures', 'expected');
const snapshot = (version: string): string => join(ROOT, 'fixtures', 'snap', `snap-${version}.db`);

for (const name of readdirSync(EXPECTED)) {
  const match = /^status-snap-(.*)-by-etcdutl-(.*)\.json$/.exec(name);
  if (!match) continue;
  const [, data, tool] = match as unknown as [string, string, string];
  test(`snapshot of ${data} as etcdutl ${tool}`, () => {
    const ran = runProgram(['snapshot', 'status', snapshot(data), '-w', 'json', '--compat', tool]);
    assert.deepEqual(ran, { stdout: readFileSync(join(EXPECTED, name), 'utf8'), stderr: '', exitCode: 0 });
  });
}

test('a digest that does not match is damage natively, and a warning under compat', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'etcdkit-status-'));
  try {
    const path = join(scratch, 'x.db');
    copyFileSync(snapshot('3.6'), path);
    const trailerStart = readFileSync(path).length - 32;
    const fd = openSync(path, 'r+');
    writeSync(fd, Buffer.from([0]), 0, 1, trailerStart);
    closeSync(fd);

    const native = runProgram(['snapshot', 'status', path]);
    assert.equal(native.stdout, '60bde843, 19, 12, 41 kB, 3.6.0\n');
    assert.match(native.stderr, /^Error: .*SHA-256/);
    assert.equal(native.exitCode, 3);

    const compat = runProgram(['snapshot', 'status', path, '--compat=3.6']);
    assert.equal(compat.stdout, native.stdout);
    assert.match(compat.stderr, /\twarn\tsnapshot\/status\t.*SHA-256/);
    assert.equal(compat.exitCode, 0);
  } finally {
    rmSync(scratch, { recursive: true });
  }
});
