/** The table of paths is that of the services. */
import { OPEN_AUTH } from './open-access.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STREAM_PATHS, UNARY_PATHS } from '../../src/server/api-paths.ts';
import { makeServices } from '../../src/server/services.ts';
import { Stats } from '../../src/server/monitor/stats.ts';
import { MemoryCore } from './memory-core.ts';

test('every method that is served has its path here, and every path its method', () => {
  const { methods } = makeServices(new MemoryCore(), {
    emulated: '3.6',
    version: '3.6.16',
    quotaBytes: -1,
    txnOperationsMax: 128,
    requestSizeMax: 1000,
    progressNotifyMs: 1000,
    electionMs: 1000,
    isLeaseCheckpointed: false,
    auth: OPEN_AUTH,
    stats: new Stats(),
  });
  const unary = methods.flatMap((one) => Object.keys(one.unary ?? {}));
  const stream = methods.flatMap((one) => Object.keys(one.stream ?? {}));
  assert.deepEqual([...UNARY_PATHS].sort(), unary.sort());
  assert.deepEqual([...STREAM_PATHS].sort(), stream.sort());
});
