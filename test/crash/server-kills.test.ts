/**
 * `serve` killed at random moments under load: whatever was acknowledged is there when it starts again, what was not
 * finished disturbs nobody, and the directory is sound at every stop.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { Channel } from '../../src/client/channel.ts';
import { compactionRequest } from '../../src/format/proto/rpcpb.ts';
import { randomFor, seedOfRun } from '../support/mutate.ts';
import { scratch } from '../support/scratch.ts';
import {
  assertSound,
  flagsAt,
  lost,
  readAll,
  serveInChild,
  type ServedChild,
  Writer,
} from '../support/served.ts';

const SEED = seedOfRun();
const KILLS = 30;
const CLIENTS = 4;
const SPECIAL_KILLS = 5;
const FIRST_STARTS = 12;
const STAGES = ['', 'member/snap', 'member/snap/db', 'member/wal'];

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Files that only an unfinished change leaves. */
function leftOvers(dataDir: string): string[] {
  if (!existsSync(dataDir)) return [];
  const names = readdirSync(dataDir, { recursive: true }) as string[];
  return names.filter((name) => /\.etcdkit-|wal\.tmp|snap\.tmp/.test(name));
}

/** What all clients were told, over all starts of a server. */
class Load {
  readonly acknowledged = new Map<string, string>();
  #count = 0;
  #channels: Channel[] = [];
  #writers: Writer[] = [];

  async begin(endpoint: string): Promise<void> {
    this.#count++;
    this.#channels = await Promise.all(Array.from({ length: CLIENTS }, () => Channel.connect(endpoint)));
    this.#writers = this.#channels.map(
      (channel, i) => new Writer(channel, `${this.#count}.${i}`, { valueBytes: 40 + 200 * i }),
    );
  }

  /** Until a put was acknowledged. */
  async untilSome(): Promise<void> {
    while (!this.#writers.some(({ acknowledged }) => acknowledged.size > 0)) await pause(2);
  }

  /** After the server is gone. */
  async end(): Promise<void> {
    await Promise.all(this.#channels.map((channel) => channel.close()));
    for (const writer of this.#writers) {
      await writer.stop();
      for (const [key, value] of writer.acknowledged) this.acknowledged.set(key, value);
    }
  }
}

async function kill(served: ServedChild): Promise<void> {
  served.child.kill('SIGKILL');
  await served.ended;
}

/** Starts a server, and holds it against what was acknowledged. */
async function restart(
  t: TestContext,
  dataDir: string,
  { acknowledged }: Load,
  flags: readonly string[] = [],
): Promise<ServedChild> {
  await assertSound(dataDir);
  const served = await serveInChild(t, flagsAt(dataDir, ...flags));
  assert.notEqual(served.endpoint, 'http://127.0.0.1:0', served.log().slice(-2000));
  const channel = await Channel.connect(served.endpoint);
  assert.deepEqual(lost(await readAll(channel), acknowledged).slice(0, 5), []);
  await channel.close();
  return served;
}

async function finish(t: TestContext, dataDir: string, load: Load): Promise<void> {
  const last = await restart(t, dataDir, load);
  assert.deepEqual(leftOvers(dataDir), []);
  last.child.kill('SIGTERM');
  assert.deepEqual(await last.ended, { code: 0, signal: null });
  await assertSound(dataDir);
}

const call = async (endpoint: string, path: string, request: Uint8Array): Promise<void> => {
  try {
    const channel = await Channel.connect(endpoint);
    await channel.unary(path, request);
    await channel.close();
  } catch {
    // The kill comes in between, which is what it is for.
  }
};

describe('killed', () => {
  process.stdout.write(`ETCDKIT_SEED=${SEED}\n`);

  test(
    `${KILLS} times under load, with a raft snapshot every 50 entries`,
    { timeout: 180_000 },
    async (t) => {
      const random = randomFor(SEED, 1);
      const dataDir = join(scratch(t), 'data');
      const flags = ['--snapshot-count=50', '--max-wals=2', '--max-snapshots=2'];
      const load = new Load();
      let served = await serveInChild(t, flagsAt(dataDir, ...flags));
      for (let i = 0; i < KILLS; i++) {
        await load.begin(served.endpoint);
        await pause(20 + random.below(500));
        await kill(served);
        await load.end();
        served = await restart(t, dataDir, load, flags);
      }
      await kill(served);
      assert.ok(load.acknowledged.size > KILLS * 10, `${load.acknowledged.size}`);
      assert.ok(readdirSync(join(dataDir, 'member/snap')).some((name) => name.endsWith('.snap')));
      await finish(t, dataDir, load);
      t.diagnostic(`${load.acknowledged.size} acknowledged puts, ${KILLS + 1} kills`);
    },
  );

  for (const [name, path, requestAt] of [
    ['during defrag', '/etcdserverpb.Maintenance/Defragment', () => new Uint8Array()],
    [
      'during a compaction',
      '/etcdserverpb.KV/Compact',
      (revision: number) => compactionRequest.encode({ revision: BigInt(revision) }),
    ],
  ] as const) {
    test(`${SPECIAL_KILLS} times ${name}`, { timeout: 120_000 }, async (t) => {
      const random = randomFor(SEED, 2, name.length);
      const dataDir = join(scratch(t), 'data');
      const load = new Load();
      let served = await serveInChild(t, flagsAt(dataDir));
      for (let i = 0; i < SPECIAL_KILLS; i++) {
        await load.begin(served.endpoint);
        await pause(400);
        const called = call(served.endpoint, path, requestAt(1 + (i + 1) * 40));
        await pause(random.below(30));
        await kill(served);
        await called;
        await load.end();
        served = await restart(t, dataDir, load);
      }
      await kill(served);
      await finish(t, dataDir, load);
    });
  }

  test(`${FIRST_STARTS} times during the first start`, { timeout: 120_000 }, async (t) => {
    const random = randomFor(SEED, 3);
    const root = scratch(t);
    const stages = new Set<string>();
    for (let i = 0; i < FIRST_STARTS; i++) {
      const dataDir = join(root, `${i}`);
      const { child, ended } = await serveInChild(t, flagsAt(dataDir), { isWaited: false });
      const stage = join(dataDir, STAGES[i % STAGES.length]!);
      for (let wait = 0; !existsSync(stage) && child.exitCode === null && wait < 5000; wait++) await pause(1);
      await pause(random.below(10));
      child.kill('SIGKILL');
      await ended;
      stages.add(stageOf(dataDir));
      const load = new Load();
      const served = await serveInChild(t, flagsAt(dataDir));
      await load.begin(served.endpoint);
      await load.untilSome();
      await kill(served);
      await load.end();
      assert.ok(load.acknowledged.size > 0, served.log().slice(-2000));
      await finish(t, dataDir, load);
    }
    t.diagnostic(`killed when there was: ${[...stages].join(', ')}`);
    assert.ok(stages.size > 1);
  });

  test('what each step of a first start may leave behind is begun anew', async (t) => {
    const dataDir = join(scratch(t), 'data');
    const member = join(dataDir, 'member');
    mkdirSync(join(member, 'wal.tmp'), { recursive: true });
    mkdirSync(join(member, 'snap'));
    const torn = Buffer.alloc(5000, 0x5a);
    for (const name of ['wal.tmp/0000000000000000-0000000000000000.wal', 'snap/.db.etcdkit-99999-0badcafe'])
      writeFileSync(join(member, name), torn);
    const load = new Load();
    const served = await serveInChild(t, flagsAt(dataDir));
    await load.begin(served.endpoint);
    await load.untilSome();
    await kill(served);
    await load.end();
    assert.ok(load.acknowledged.size > 0);
    await finish(t, dataDir, load);
  });
});

/** How far a first start got. */
function stageOf(dataDir: string): string {
  const has = (name: string): boolean => existsSync(join(dataDir, 'member', name));
  if (has('wal')) return 'a log';
  if (has('wal.tmp')) return 'half a log';
  if (has('snap/db')) return 'a database';
  return leftOvers(dataDir).length > 0 ? 'half a database' : 'a directory';
}
