import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS } from '../../src/rpc/limits.ts';
import { defaultConfig } from '../../src/server/config.ts';
import { limitsOf } from '../../src/server/limits.ts';
import { keptLog } from './monitor/healthy-view.ts';

test('the default configuration has the default limits', () => {
  const log = keptLog();
  assert.deepEqual(limitsOf(defaultConfig(), { openFilesMax: 0, log }), DEFAULT_LIMITS);
  assert.deepEqual(limitsOf(defaultConfig(), { openFilesMax: 1e6, log }), DEFAULT_LIMITS);
  assert.deepEqual(log.lines, []);
});

test('clients leave files for the log and the database, and a warning says so', () => {
  const log = keptLog();
  assert.equal(limitsOf(defaultConfig(), { openFilesMax: 1024, log }).connectionsMax, 874);
  assert.equal(limitsOf(defaultConfig(), { openFilesMax: 100, log }).connectionsMax, 1);
  assert.equal(log.lines.length, 2);
});

test('a request may be as large as configured, and half a megabyte for what is around it', () => {
  const config = { ...defaultConfig(), requestBytesMax: 1000, streamsMax: 5 };
  const limits = limitsOf(config, { openFilesMax: 0, log: keptLog() });
  assert.equal(limits.messageSizeMax, 1000 + 512 * 1024);
  assert.equal(limits.streamsPerConnectionMax, 5);
});
