/**
 * `node dist/test/bench/backend.js`: what a backend costs by itself: commits, look-ups of rows that are in the file,
 * scans, memory. Times are CPU of this process, so that a busy machine tells the same; `wait` is what it says.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realDisk } from '../../src/bytes/disk.ts';
import { BoltBackend } from '../../src/store/backend/bolt.ts';
import { encodeRevision } from '../../src/store/mvcc/record.ts';
import { median } from './measure.ts';

const VALUE_SIZE = 256;
const RUNS = 15;
const ROWS = 400_000;
const LOOK_UPS = 200_000;

const say = (text: string): boolean => process.stdout.write(`${text}\n`);
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

/** Milliseconds of user and system time that `run` takes. */
async function cpuOf(run: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

const directory = mkdtempSync(join(tmpdir(), 'etcdkit-bench-'));
try {
  const backend = await BoltBackend.open(realDisk(), join(directory, 'db'), { isNew: true });
  let revision = 0;
  const put = (count: number): void => {
    for (let i = 0; i < count; i++)
      backend.put('key', encodeRevision(++revision, 0), new Uint8Array(VALUE_SIZE).fill(revision));
  };
  for (const count of [1000, 10_000]) {
    const onLoop: number[] = [];
    const wait: number[] = [];
    const cpu: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      put(count);
      cpu.push(
        await cpuOf(async () => {
          const began = performance.now();
          const commit = backend.commit();
          onLoop.push(performance.now() - began);
          await commit;
          wait.push(performance.now() - began);
        }),
      );
    }
    say(
      `commit of ${count} puts of ${VALUE_SIZE} B: ${median(cpu).toFixed(1)} ms CPU; ` +
        `${median(onLoop).toFixed(1)} ms on the loop, ${median(wait).toFixed(1)} ms until durable`,
    );
  }
  while (revision < ROWS) {
    put(10_000);
    await backend.commit();
  }
  const lookUp = async (what: string, range: number): Promise<void> => {
    const keys = Array.from({ length: LOOK_UPS }, () =>
      encodeRevision(revision - Math.floor(Math.random() * range), 0),
    );
    const cpu: number[] = [];
    for (let run = 0; run < 5; run++)
      cpu.push(await cpuOf(() => keys.forEach((key) => backend.get('key', key))));
    say(`look-up ${what}: ${((median(cpu) * 1000) / LOOK_UPS).toFixed(2)} µs CPU`);
  };
  say(`file of ${megabytes(backend.sizeBytes)}, process of ${megabytes(process.memoryUsage.rss())}`);
  await lookUp('among 30,000 rows, all in memory', 30_000);
  await lookUp(`among ${ROWS} rows, a quarter in memory`, ROWS);
  let count = 0;
  const scan = await cpuOf(() => {
    for (const _ of backend.scan('key')) count++;
  });
  say(`scan of ${count} rows: ${((scan * 1000) / count).toFixed(2)} µs CPU each`);
  for (let i = 1; i <= 30_000; i += 3) backend.delete('key', encodeRevision(i, 0));
  say(`commit of 10,000 deletes, each third row: ${(await cpuOf(() => backend.commit())).toFixed(1)} ms CPU`);
  say(`rewrite: ${(await cpuOf(() => backend.defrag())).toFixed(0)} ms CPU`);
  say(`process of ${megabytes(process.memoryUsage.rss())}`);
  await backend.close();
  say(`open: ${(await cpuOf(() => BoltBackend.open(realDisk(), join(directory, 'db')))).toFixed(0)} ms CPU`);
} finally {
  rmSync(directory, { recursive: true });
}
