// Every call of the API with every option, through Go clients: the same script on real etcd 3.6 and on the
// server under test, answer by answer, with only ids, terms and sizes of files left out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scratch } from '../support/scratch.ts';
import { runTool, succeeded } from './etcd.ts';
import type { EtcdServer } from './etcd.ts';
import { isOurs, startBoth, subjectSkip as skip } from './subject.ts';

const DIFFERENCES_SHOWN = 8;

/** What `apicheck` knows, and the fewest lines each must print to have come to its end. */
const AREAS: Record<string, number> = {
  alarm: 40,
  client: 18,
  cluster: 14,
  compact: 30,
  compare: 1000,
  delete: 20,
  election: 20,
  lease: 50,
  'lease-ends': 7,
  limits: 14,
  lock: 18,
  maintenance: 25,
  notify: 4,
  progress: 6,
  put: 40,
  range: 80,
  services: 9,
  txn: 60,
  watch: 150,
  'watch-many': 1,
  'watch-past': 400,
};

async function answers(area: string, server: EtcdServer): Promise<string[]> {
  const running = runTool('3.6', 'apicheck', [area, `--endpoint=${server.endpoint}`], { timeoutMs: 90_000 });
  return (await succeeded(running)).stdout.trimEnd().split('\n');
}

interface Difference {
  step: string;
  real: string | undefined;
  subject: string | undefined;
}

/** Steps in which ours answers otherwise on purpose, with what it says. */
const ON_PURPOSE: Record<string, RegExp> = {
  // Peer URLs that nobody can listen on would keep the member from starting again.
  'no URL': /given member URLs are invalid/,
  'what is no URL': /given member URLs are invalid/,
  // What is past comes in responses below the limit, which need not be cut.
  fragments: /"in parts":false,"within the limit":true/,
  // Until it is started again, etcd answers with what it hashed while it compacted to just this revision.
  'hash of the keys at 9': /"CompactRevision":"9","Hash":\d+,"HashRevision":"9"/,
};

function isOnPurpose(step: string, answer: string | undefined): boolean {
  return isOurs && answer !== undefined && (ON_PURPOSE[step]?.test(answer) ?? false);
}

function differences(real: readonly string[], subject: readonly string[]): Difference[] {
  const found: Difference[] = [];
  for (let at = 0; at < Math.max(real.length, subject.length); at++) {
    if (real[at] === subject[at]) continue;
    const { step } = JSON.parse(real[at] ?? subject[at]!) as { step: string };
    if (!isOnPurpose(step, subject[at])) found.push({ step, real: real[at], subject: subject[at] });
  }
  return found;
}

test('every area of the script has a test', { skip }, async () => {
  const { stdout } = await succeeded(runTool('3.6', 'apicheck', ['list']));
  assert.deepEqual(JSON.parse(stdout), Object.keys(AREAS).toSorted());
});

/** Areas that are run under other flags than the usual ones. */
const FLAGS: readonly { area: string; args: readonly string[] }[] = [
  ...Object.keys(AREAS)
    .filter((area) => area !== 'notify')
    .map((area) => ({ area, args: [] })),
  { area: 'notify', args: ['--watch-progress-notify-interval=400ms'] },
  { area: 'limits', args: ['--max-request-bytes=4194304'] },
  { area: 'txn', args: ['--max-txn-ops=128000'] },
  { area: 'txn', args: ['--max-txn-ops=100'] },
];

for (const { area, args } of FLAGS) {
  const name = `answers are etcd's: ${[area, ...args].join(' ')}`;
  test(name, { skip, timeout: 120_000 }, async (t) => {
    const servers = await startBoth(t, scratch(t), { args });
    const [real, subject] = await Promise.all([answers(area, servers.real), answers(area, servers.subject)]);
    assert.ok(real.length >= AREAS[area]!, `only ${real.length} answers`);
    const found = differences(real, subject);
    assert.deepEqual(found.slice(0, DIFFERENCES_SHOWN), [], `${found.length} answers differ`);
  });
}
