/**
 * A process that opens a member's directory, puts keys until it is killed, and says on stdout which of them it has
 * acknowledged: one number a line, in order.
 */
import { beginAll, openAt, takeSnapshot } from '../support/opened-member.ts';

const SNAPSHOT_EVERY = 150;
const COMMIT_EVERY = 40;
/** Long after it should have been killed. */
const BATCHES_MAX = 100_000;

const [, , dataDir, name, clientUrl, prefix] = process.argv as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const member = await openAt(dataDir, { name, advertiseClientUrls: [clientUrl], segmentBytes: 1 << 17 });
for (let batch = 0; batch < BATCHES_MAX; batch++) {
  const numbers = Array.from({ length: 1 + (batch % 7) }, (_, i) => batch * 10 + i);
  await beginAll(
    member,
    numbers.map((number) => ({
      put: { key: Buffer.from(`${prefix}${number}`), value: Buffer.alloc(200 + (number % 400), 0x61) },
    })),
  )();
  process.stdout.write(numbers.map((number) => `${number}\n`).join(''));
  if (batch % COMMIT_EVERY === 0) void member.backend.commit();
  if (batch % SNAPSHOT_EVERY === SNAPSHOT_EVERY - 1) {
    await takeSnapshot(member);
    member.log.purge();
  }
}
