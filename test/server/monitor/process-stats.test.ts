import assert from 'node:assert/strict';
import { closeSync, existsSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { readProcess } from '../../../src/server/monitor/process-stats.ts';

test(
  'the process as the system sees it',
  { skip: existsSync('/proc/self') ? false : 'no /proc here' },
  () => {
    const before = readProcess();
    const file = openSync('/dev/null', 'r');
    const after = readProcess();
    closeSync(file);
    assert.equal(after.openFiles, before.openFiles + 1);
    assert.ok(after.openFilesMax >= after.openFiles);
    assert.ok(after.cpuSeconds > 0 && after.cpuSeconds >= before.cpuSeconds);
    assert.ok(after.virtualBytes >= after.residentBytes && after.residentBytes > 1e6);
    assert.ok(Math.abs(after.startSeconds - (Date.now() / 1000 - process.uptime())) < 1);
  },
);
