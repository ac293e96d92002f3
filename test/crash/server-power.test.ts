/**
 * The power is cut under a whole server: clients put, compact, defragment, and raft snapshots are taken meanwhile, with
 * log and database written as they come. Images of the directory with any subset of unsynced sectors lost or torn are
 * opened as a server opens them, hold every write that a client was told of, and are sound.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { verify } from '../../src/check/verify.ts';
import { Channel } from '../../src/client/channel.ts';
import { compactionRequest } from '../../src/format/proto/rpcpb.ts';
import { type DiskCall, hastyDisk, recordingDisk } from '../support/faulty-disk.ts';
import { randomFor, seedOfRun } from '../support/mutate.ts';
import { openAt } from '../support/opened-member.ts';
import { scratch } from '../support/scratch.ts';
import { put, serveAt } from '../support/served.ts';
import { describeCall, failureText, stateAfterCut } from './power-cut.ts';
import { randomSectorLuck } from './sector-cut.ts';
import { Tally } from './tally.ts';
import { plantTree, type Tree } from './tree.ts';

const SEED = seedOfRun();
const RUNS = 2;
const ROUNDS = 60;
const CLIENTS = 3;
const IMAGES = 80;
const NO_TREE: Tree = new Map();
const tally = new Tally('power cuts under a server, by the last operation', ['new', 'whole', 'repaired']);

interface Told {
  callCount: number;
  key: string;
  value: string;
}

interface Run {
  root: string;
  calls: DiskCall[];
  told: Told[];
}

async function record(root: string, number: number): Promise<Run> {
  const { disk, calls } = recordingDisk(hastyDisk());
  plantTree(root, NO_TREE);
  const told: Told[] = [];
  const random = randomFor(SEED, number);
  const { server, endpoint } = await serveAt(join(root, 'data'), {
    disk,
    name: 'm1',
    advertiseClientUrls: ['http://127.0.0.1:2379'],
    peerUrls: ['http://127.0.0.1:2380'],
    firstStart: { initialCluster: 'm1=http://127.0.0.1:2380', token: 'etcd-cluster', state: 'new' },
    snapshotCount: 40,
    snapshotsMax: 2,
    walsMax: 2,
    backendBatchIntervalMs: 7,
  });
  const channels = await Promise.all(Array.from({ length: CLIENTS }, () => Channel.connect(endpoint)));
  const sizes = channels.map((_, i) => randomFor(SEED, number, i));
  const clients = channels.map(async (channel, i) => {
    for (let round = 0; round < ROUNDS; round++) {
      const [key, value] = [`${i}.${round}`, `${round}`.padEnd(sizes[i]!.below(1500), 'v')];
      await put(channel, key, value);
      told.push({ callCount: calls.length, key, value });
    }
  });
  const upkeep = (async () => {
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10 + random.below(30)));
      await channels[0]!.unary('/etcdserverpb.Maintenance/Defragment', new Uint8Array());
      const request = compactionRequest.encode({ revision: BigInt(5 + 10 * i) });
      await channels[0]!.unary('/etcdserverpb.KV/Compact', request).catch(() => {});
    }
  })();
  await Promise.all([...clients, upkeep]);
  await Promise.all(channels.map((channel) => channel.close()));
  await server.stop(1000);
  return { root, calls, told };
}

async function judge(dataDir: string, { told }: Run, callCount: number): Promise<string> {
  const member = await openAt(dataDir, { disk: hastyDisk() });
  for (const { callCount: at, key, value } of told) {
    if (at > callCount) continue;
    const [found] = member.applier.keys.range({ key: Buffer.from(key), end: undefined });
    assert.ok(found && Buffer.from(found.bytes).includes(value), `${key} was acknowledged, and is gone`);
  }
  await member.release();
  const { verdict, findings } = await verify(dataDir);
  const damage = findings.find(({ severity }) => severity !== 'note');
  assert.equal(damage, undefined, `${verdict}: ${damage?.message}`);
  return member.isNew ? 'new' : member.isRepaired ? 'repaired' : 'whole';
}

describe('the power is cut under a server', () => {
  process.stdout.write(`ETCDKIT_SEED=${SEED}\n`);
  after(() => tally.print());
  for (let number = 0; number < RUNS; number++) {
    test(`run ${number}`, { timeout: 300_000 }, async (t) => {
      const run = await record(join(scratch(t), 'run'), number);
      const stage = scratch(t);
      const problems: string[] = [];
      for (let i = 0; i < IMAGES; i++) {
        const random = randomFor(SEED, number, 1000 + i);
        const count = random.below(run.calls.length + 1);
        const last = run.calls[count - 1];
        try {
          const root = join(stage, `${i}`);
          const luck = randomSectorLuck(random);
          plantTree(root, stateAfterCut(NO_TREE, run.calls.slice(0, count), run.root, luck));
          tally.add(last?.operation ?? 'none', await judge(join(root, 'data'), run, count));
        } catch (error) {
          problems.push(`after ${last ? describeCall(last) : 'nothing'}, image ${i}: ${failureText(error)}`);
        }
        rmSync(join(stage, `${i}`), { recursive: true, force: true });
      }
      assert.deepEqual(problems.slice(0, 5), [], `${problems.length} problems`);
    });
  }
});
