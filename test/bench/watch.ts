/**
 * What watching costs in the hub and the service, without disk and network: `node dist/test/bench/watch.js`. Streams
 * take everything and throw it away. Past revisions are made as they are read, which is most of what they cost.
 */
import { OPEN_ACCESS } from '../server/open-access.ts';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { watchRequest } from '../../src/format/proto/watchpb.ts';
import { watchService } from '../../src/server/services/watch.ts';
import { EndlessStore } from '../server/services/endless-store.ts';
import { MemoryStream } from '../server/services/memory-stream.ts';

const PATH = '/etcdserverpb.Watch/Watch';
const ALL = Buffer.from('\0');
const VALUE_SIZE = 256;
const REVISIONS = 1_000;
const PAST_REVISIONS = 200_000;

class Drain extends MemoryStream {
  count = 0;
  bytes = 0;

  override send(message: Uint8Array): boolean {
    this.count++;
    this.bytes += message.length;
    return true;
  }
}

interface Shape {
  streams: number;
  watchers: number;
  startRevision?: bigint;
}

async function open(store: EndlessStore, { streams, watchers, startRevision = 0n }: Shape): Promise<Drain[]> {
  const handler = watchService(store, { access: OPEN_ACCESS }).stream![PATH]!;
  const opened = Array.from({ length: streams }, () => new Drain(PATH));
  for (const stream of opened) {
    void handler(stream).catch(() => {});
    for (let i = 0; i < watchers; i++)
      stream.request(watchRequest.encode({ createRequest: { key: ALL, rangeEnd: ALL, startRevision } }));
  }
  while (opened.some(({ count }) => count < watchers)) await nextTurn();
  return opened;
}

const cpuMicros = (since?: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return user + system;
};
const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function benchFanOut(shape: Shape): Promise<void> {
  const store = new EndlessStore(VALUE_SIZE);
  const streams = await open(store, shape);
  for (let i = 0; i < REVISIONS / 5; i++) store.put();
  const before = process.cpuUsage();
  for (let i = 0; i < REVISIONS; i++) store.put();
  const each = cpuMicros(before) / (REVISIONS * shape.streams * shape.watchers);
  for (const stream of streams) stream.abort();
  say(`${shape.streams} streams of ${shape.watchers} watchers: ${each.toFixed(3)} µs of CPU for each event`);
}

async function benchCatchUp(streamCount: number): Promise<void> {
  const store = new EndlessStore(VALUE_SIZE);
  store.revision = PAST_REVISIONS + 1;
  const before = process.cpuUsage();
  const streams = await open(store, { streams: streamCount, watchers: 1, startRevision: 2n });
  let longest = 0;
  for (let idle = 0, seen = 0; idle < 5; idle++) {
    const turn = process.cpuUsage();
    await nextTurn();
    longest = Math.max(longest, cpuMicros(turn));
    const bytes = streams.reduce((sum, stream) => sum + stream.bytes, 0);
    if (bytes > seen) idle = -1;
    seen = bytes;
  }
  const each = cpuMicros(before) / PAST_REVISIONS;
  for (const stream of streams) stream.abort();
  const turn = (longest / 1000).toFixed(1);
  say(
    `${streamCount} streams from the past: ${each.toFixed(2)} µs for each revision, longest turn ${turn} ms`,
  );
}

for (const [streams, watchers] of [
  [1, 1_000],
  [10, 100],
  [1_000, 1],
] as const)
  await benchFanOut({ streams, watchers });
for (const streams of [1, 1, 100]) await benchCatchUp(streams);
