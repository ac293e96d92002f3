// The pattern of a kube-apiserver: list at a revision, watch from it, write under conditions, leases, a compaction
// every so often. No event is missed, and memory does not grow with time: for ten minutes in the soak, for some
// seconds otherwise.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { memory } from '../bench/server-process.ts';
import { scratch } from '../support/scratch.ts';
import { endpointStatus, runTool, succeeded } from './etcd.ts';
import { endAfter, isOurs, isSoak, startSubject, subjectSkip as skip } from './subject.ts';

const SECONDS = isSoak ? 600 : 25;
const COMPACT_SECONDS = isSoak ? 120 : 5;
/** After the state has its full size and the first compactions are over. */
const SETTLED_SHARE = 0.5;
const GROWTH_MAX = 64e6;
const SAMPLE_MS = 500;

interface KubeReport {
  writes: number;
  lists: number;
  events: number;
  missed: number;
  compactions: number;
}

test(
  `the pattern of a kube-apiserver for ${SECONDS} s misses nothing and keeps its size`,
  {
    skip,
    timeout: (SECONDS + 120) * 1000,
  },
  async (t) => {
    const server = await startSubject({ dataDir: join(scratch(t), 'data') });
    endAfter(t, () => server);
    const args = [
      `--endpoint=${server.endpoint}`,
      `--duration=${SECONDS}s`,
      `--compact=${COMPACT_SECONDS}s`,
      `--relist=${COMPACT_SECONDS - 1}s`,
    ];
    const state = { isOver: false };
    const running = succeeded(runTool('3.6', 'kube', args, { timeoutMs: (SECONDS + 60) * 1000 })).finally(
      () => {
        state.isOver = true;
      },
    );
    running.catch(() => {}); // awaited below, when the samples are taken
    const began = performance.now();
    let settledBytes = 0;
    let highestBytes = 0;
    while (!state.isOver) {
      await delay(SAMPLE_MS);
      const { residentBytes } = memory(server.pid);
      const isSettled = performance.now() - began > SECONDS * SETTLED_SHARE * 1000;
      if (isSettled) highestBytes = Math.max(highestBytes, residentBytes);
      else settledBytes = Math.max(settledBytes, residentBytes);
    }
    const report = JSON.parse((await running).stdout) as KubeReport;
    const { dbSize } = await endpointStatus(server);
    const inMB = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
    t.diagnostic(
      `${JSON.stringify(report)}; ${inMB(settledBytes)}, then ${inMB(highestBytes)}; database ${inMB(dbSize)}`,
    );
    assert.equal(report.missed, 0);
    assert.ok(report.compactions >= 2 && report.events > report.writes, JSON.stringify(report));
    if (isOurs)
      assert.ok(highestBytes - settledBytes <= GROWTH_MAX, `grew by ${inMB(highestBytes - settledBytes)}`);
  },
);
