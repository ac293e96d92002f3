import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Progress, progressLine } from '../../src/cli/progress.ts';

const WIPE = '\r\u001b[K';

function recorder(width = 200): { progress: Progress; written: string[]; time: { ms: number } } {
  const written: string[] = [];
  const time = { ms: 0 };
  const progress = new Progress({
    write: (text) => written.push(text),
    now: () => time.ms,
    width: () => width,
  });
  return { progress, written, time };
}

test('nothing is drawn in the first second, then ten times a second at most', () => {
  const { progress, written, time } = recorder();
  const report = progress.start('reading');
  for (time.ms = 0; time.ms < 1000; time.ms += 20) report(time.ms, 4000);
  assert.equal(written.length, 0);
  for (; time.ms < 2000; time.ms += 20) report(time.ms, 4000);
  assert.equal(written.length, 10);
  assert.ok(written[0]!.startsWith(WIPE));
  assert.match(
    written[0]!.slice(WIPE.length),
    /^reading \[=+ +\] 25% {2}1\.0 kB of 4\.0 kB {2}1\.0 kB\/s {2}3s left$/,
  );
});

test('the line is wiped once', () => {
  const { progress, written, time } = recorder();
  progress.wipe();
  assert.equal(written.length, 0);
  const report = progress.start('reading');
  time.ms = 1500;
  report(1, 2);
  progress.wipe();
  progress.wipe();
  assert.deepEqual(written.slice(1), [WIPE]);
});

test('it never wraps', () => {
  const { progress, written, time } = recorder(20);
  const report = progress.start('a long label for a narrow terminal');
  time.ms = 1500;
  report(1, 2);
  assert.equal(written[0]!.length, WIPE.length + 19);
});

test('totals that are unknown, wrong or not yet reached', () => {
  const line = (done: number, total: number): string =>
    progressLine({ label: 'x', done, total, elapsedMs: 2000 });
  assert.equal(line(4000, 0), 'x  4.0 kB  2.0 kB/s');
  assert.equal(line(0, 10), `x [${' '.repeat(16)}] 0%  0 B of 10 B  0 B/s`);
  assert.equal(line(20, 10), `x [${'='.repeat(16)}] 100%  20 B of 10 B  10 B/s  0s left`);
  assert.match(line(1000, 61_000), / 2m0s left$/);
  assert.match(line(1000, 4_000_000), / 2h13m left$/);
});
