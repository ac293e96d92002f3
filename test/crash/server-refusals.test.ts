/** Directories that `serve` must not touch: each is refused with a reason, and left as it was to the last byte. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { verify } from '../../src/check/verify.ts';
import { Channel } from '../../src/client/channel.ts';
import { rangeRequest } from '../../src/format/proto/rpcpb.ts';
import { mapDatabase } from '../fuzz/database-map.ts';
import { aimedEdit } from '../fuzz/edits.ts';
import { startCommand } from './refusal.ts';
import { unpacked } from '../support/fixtures.ts';
import { copyFixture, copyMember, editRows, endOf, treeOf } from '../support/member-copy.ts';
import { damage, flipBit, type Random, randomFor, seedOfRun } from '../support/mutate.ts';
import { scratch } from '../support/scratch.ts';
import { assertSound, flagsAt, serveAt, serveInChild } from '../support/served.ts';

const SEED = seedOfRun();
const FLIPS = 40;
const EXIT = { damage: 3, refused: 4 };

/** How far a file is used: behind that, flipped bits are of another kind. */
function usedSize(path: string, walDir: string): number {
  const end = endOf(walDir);
  return end.file === path ? end.offset : readFileSync(path).length;
}

function flip(random: Random, path: string, walDir: string): void {
  const bytes = readFileSync(path);
  const whole = { start: 0, end: usedSize(path, walDir) };
  // Most of a database is what nobody reads.
  const edit = path.endsWith('/db')
    ? aimedEdit(random, { bytes, map: mapDatabase(bytes) })
    : flipBit(random, bytes, whole);
  writeFileSync(path, damage(bytes, edit));
}

describe('a directory with damage', () => {
  process.stdout.write(`ETCDKIT_SEED=${SEED}\n`);

  for (const [what, isMeant] of [
    ['in its database', (name: string) => name === 'snap/db'],
    ['in its log', (name: string) => name.endsWith('.wal')],
    ['in a raft snapshot', (name: string) => name.endsWith('.snap')],
  ] as const) {
    test(`${what} is refused and left alone, or served if verify finds nothing that matters`, async (t) => {
      const root = scratch(t);
      const base = copyFixture(root, '3.6', 'base');
      const counts = { refused: 0, served: 0 };
      for (let i = 0; i < FLIPS; i++) {
        const random = randomFor(SEED, what.length, i);
        const dataDir = join(root, `${i}`);
        cpSync(base, dataDir, { recursive: true });
        const names = readdirSync(join(dataDir, 'member'), { recursive: true }) as string[];
        const path = join(dataDir, 'member', random.pick(names.filter(isMeant).sort()));
        flip(random, path, join(dataDir, 'member/wal'));
        const { findings } = await verify(dataDir);
        const damages = findings.filter(({ severity }) => severity !== 'note');
        const before = treeOf(dataDir);
        try {
          const { server } = await serveAt(dataDir);
          await server.stop(0);
          counts.served++;
        } catch (error) {
          counts.refused++;
          const told = (error as Error).message;
          assert.deepEqual(treeOf(dataDir), before, `${i}: it was changed`);
          assert.ok(damages.length > 0, `${i}: refused, and verify finds nothing: ${told}`);
          continue;
        }
        // A raft snapshot that cannot be read is passed over and set aside, as etcd does it.
        if (what === 'in a raft snapshot') await assertSound(dataDir);
        const fatal = damages.filter(({ severity }) => severity === 'fatal');
        assert.deepEqual(fatal, [], `${i}: served`);
      }
      t.diagnostic(`${counts.refused} refused, ${counts.served} served`);
      assert.ok(counts.refused > 0 || what === 'in a raft snapshot');
    });
  }
});

describe('the program refuses', () => {
  test('a damaged directory, with what verify finds, and exit code 3', async (t) => {
    const dataDir = copyFixture(scratch(t), '3.6');
    const path = join(dataDir, 'member/snap/db');
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.fill(0x5a, 4 * 4096, 5 * 4096));
    const { code, stderr } = await startCommand(t, dataDir, treeOf);
    assert.equal(code, EXIT.damage, stderr);
    const [found] = (await verify(dataDir)).findings.filter(({ severity }) => severity !== 'note');
    assert.ok(stderr.includes(found!.message), stderr);
    assert.match(stderr, /etcdkit snapshot verify/);
  });

  test('a directory on which it is running already, and goes on running', async (t) => {
    const dataDir = join(scratch(t), 'data');
    const served = await serveInChild(t, flagsAt(dataDir));
    const { code, stderr } = await startCommand(t, dataDir);
    assert.equal(code, EXIT.refused, stderr);
    assert.match(stderr, /lock/);
    served.child.kill('SIGTERM');
    assert.equal((await served.ended).code, 0);
    await assertSound(dataDir);
  });

  test('whoever has not logged in, where the directory has users', async (t) => {
    const dataDir = copyFixture(scratch(t), '3.6');
    await editRows(dataDir, 'auth', { authEnabled: Uint8Array.of(1) });
    const served = await serveInChild(t, flagsAt(dataDir));
    const channel = await Channel.connect(served.endpoint);
    const request = rangeRequest.encode({ key: Buffer.from('a') });
    await assert.rejects(channel.unary('/etcdserverpb.KV/Range', request), {
      message: 'etcdserver: user name is empty',
    });
    await channel.close();
    served.child.kill('SIGTERM');
    assert.equal((await served.ended).code, 0, served.log().slice(-2000));
  });

  test('a directory of several voters, unless it is told to make one member of it', async (t) => {
    const misc = unpacked('datadir/misc-alarm-downgrade-promote-3.6.tar.gz');
    const dataDir = copyMember(scratch(t), join(misc, readdirSync(misc)[0]!, 'member'));
    const { code, stderr } = await startCommand(t, dataDir, treeOf);
    assert.equal(code, EXIT.refused, stderr);
    assert.match(stderr, /--force-new-cluster/);
    const served = await serveInChild(t, flagsAt(dataDir, '--force-new-cluster'));
    assert.notEqual(served.endpoint, 'http://127.0.0.1:0', served.log().slice(-2000));
    served.child.kill('SIGTERM');
    assert.equal((await served.ended).code, 0);
    await assertSound(dataDir);
    const again = await serveInChild(t, flagsAt(dataDir));
    again.child.kill('SIGTERM');
    assert.equal((await again.ended).code, 0, again.log().slice(-2000));
  });
});
