// A watcher that does not read costs the server little memory, however much is written, and misses nothing.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../support/scratch.ts';
import { ask, runTool, succeeded } from './etcd.ts';
import type { EtcdServer } from './etcd.ts';
import { endAfter, isOurs, startSubject, subjectSkip as skip } from './subject.ts';

const EVENTS = 2000;
const VALUE_SIZE = 256 << 10;
const ADDED_MAX = 64 << 20;
const SAMPLE_MS = 50;

/** Resident bytes that are the process's own; pages of a mapped database, which the kernel can drop, are not. */
function ownBytes(pid: number): number {
  const [, kilobytes = '0'] = /RssAnon:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

interface StallReport {
  events: number;
  bytes: number;
  received: number;
  missing: number;
  duplicates: number;
  disordered: number;
}

/** Writes 500 MB; gives the highest memory until the watcher starts to read, and what it then received. */
async function write(
  server: EtcdServer,
  isWatched: boolean,
  valueSize = VALUE_SIZE,
  events = EVENTS,
): Promise<{ peak: number; report: StallReport }> {
  let peak = 0;
  let isStalled = true;
  const timer = setInterval(() => {
    if (isStalled) peak = Math.max(peak, ownBytes(server.pid));
  }, SAMPLE_MS);
  try {
    const args = [
      `--endpoint=${server.endpoint}`,
      `--watch=${isWatched}`,
      `--events=${events}`,
      `--value-size=${valueSize}`,
    ];
    const running = runTool('3.6', 'stall', args, {
      timeoutMs: 300_000,
      onLine(line) {
        if (line.startsWith('{"stalled"')) isStalled = false;
      },
    });
    const { stdout } = await succeeded(running);
    assert.ok(!isStalled);
    return { peak, report: JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as StallReport };
  } finally {
    clearInterval(timer);
  }
}

function assertComplete({ events, received, missing, duplicates, disordered }: StallReport): void {
  assert.deepEqual(
    { received, missing, duplicates, disordered },
    { received: events, missing: 0, duplicates: 0, disordered: 0 },
  );
}

test(
  'a stalled watcher and 500 MB of events add at most 64 MB, and it misses none',
  {
    skip,
    timeout: 300_000,
  },
  async (t) => {
    const args = [`--quota-backend-bytes=${4 * 1024 ** 3}`];
    const server = await startSubject({ dataDir: join(scratch(t), 'data'), args });
    endAfter(t, () => server);
    await ask(server, ['put', 'warm', 'up']);
    const before = ownBytes(server.pid);
    const alone = await write(server, false);
    const stalled = await write(server, true);
    const added = stalled.peak - alone.peak;
    const inMB = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
    t.diagnostic(
      `${inMB(before)} at the start, at most ${inMB(alone.peak)} with writes alone, ${inMB(stalled.peak)} with a stalled watcher`,
    );
    assert.equal(stalled.report.bytes, EVENTS * VALUE_SIZE);
    assertComplete(stalled.report);
    // Real etcd reads the events of a slow watcher a thousand revisions at a time, and takes much more.
    if (isOurs) assert.ok(added <= ADDED_MAX, `the stalled watcher added ${inMB(added)}`);
  },
);

test('a stalled watcher of many small events misses none', { skip, timeout: 300_000 }, async (t) => {
  const server = await startSubject({ dataDir: join(scratch(t), 'data') });
  endAfter(t, () => server);
  const { report } = await write(server, true, 200, 30_000);
  assertComplete(report);
});
