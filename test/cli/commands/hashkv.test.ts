/** Byte for byte what etcdutl 3.7 printed for each fixture, at every revision that was asked for. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT, runProgram } from '../program.ts';

const EXPECTED = join(ROOT, 'fixtures', 'expected');
const snapshot = (version: string): string => join(ROOT, 'fixtures', 'snap', `snap-${version}.db`);

for (const name of readdirSync(EXPECTED)) {
  const whole = /^hashkv-snap-(.*)-by-etcdutl-3\.7\.json$/.exec(name);
  if (whole) {
    test(`snapshot of ${whole[1]}`, () => {
      const ran = runProgram(['hashkv', snapshot(whole[1]!), '-w', 'json', '--compat', '3.7']);
      assert.deepEqual(ran, { stdout: readFileSync(join(EXPECTED, name), 'utf8'), stderr: '', exitCode: 0 });
    });
  }
  const byRevision = /^hashkv-snap-(.*)-by-rev\.txt$/.exec(name);
  if (byRevision) {
    test(`snapshot of ${byRevision[1]} at revisions`, () => {
      for (const line of readFileSync(join(EXPECTED, name), 'utf8').trimEnd().split('\n')) {
        const blank = line.indexOf(' ');
        const ran = runProgram(['hashkv', snapshot(byRevision[1]!), '--rev', line.slice(0, blank), '-wjson']);
        assert.deepEqual(ran, { stdout: `${line.slice(blank + 1)}\n`, stderr: '', exitCode: 0 });
      }
    });
  }
}
