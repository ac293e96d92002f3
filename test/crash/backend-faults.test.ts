/**
 * Each file operation of a backend fails in turn, once or for good, or the disk fills up; the process lives. Nothing
 * that was acknowledged is lost, nothing is acknowledged after a failed commit, and the file opens again.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ToolError } from '../../src/errors.ts';
import { BoltBackend } from '../../src/store/backend/bolt.ts';
import { type Content, contentOfFile } from '../support/database-content.ts';
import { type DiskCall, type Fault, faultyDisk, hastyDisk } from '../support/faulty-disk.ts';
import { randomFor, seedOfRun } from '../support/mutate.ts';
import { scratch } from '../support/scratch.ts';
import { type Acknowledged, drive, sameContent } from './backend-run.ts';
import { Tally } from './tally.ts';

const SEED = seedOfRun();
const ROUNDS = 20;
const tally = new Tally('faults of a backend, by the operation that failed', [
  'ended',
  'stopped',
  'not made',
]);

/** Runs until the fault stops it, and looks at what is left. Gives how it ended. */
async function judge(
  root: string,
  number: number,
  fault: Fault,
): Promise<{ operation: string; end: string }> {
  let hit: DiskCall | undefined;
  const disk = faultyDisk(fault, {
    disk: hastyDisk(),
    onCall: (call) => void (call.number === fault.at && (hit = call)),
  });
  const acknowledged: Acknowledged[] = [];
  let next: Content | undefined;
  let failure: unknown;
  mkdirSync(root);
  try {
    await drive(root, disk, randomFor(SEED, number), {
      rounds: ROUNDS,
      callCount: () => 0,
      acknowledged,
      onChange: (content) => void (next = content),
    });
  } catch (error) {
    assert.ok(error instanceof ToolError, String(error));
    failure = error;
  }
  const operation = hit?.operation ?? 'none';
  const path = join(root, 'db');
  if (!existsSync(path)) {
    assert.deepEqual(acknowledged, []);
    return { operation, end: 'not made' };
  }
  const isTornMeta = ({ code }: { code: string }): boolean => code.startsWith('bolt.meta.');
  const found = contentOfFile(path, isTornMeta);
  const allowed = [acknowledged.at(-1)?.content ?? new Map(), failure ? next : undefined];
  assert.ok(
    allowed.some((content) => content && sameContent(content, found)),
    'what was acknowledged is not there',
  );
  const again = await BoltBackend.open(hastyDisk(), path);
  again.put('meta', Buffer.from('k'), Buffer.from('v'));
  await again.close();
  contentOfFile(path);
  // Where removing is what fails, what should have been removed stays.
  if (fault.kind === 'fail once' && operation !== 'remove') assert.deepEqual(readdirSync(root), ['db']);
  return { operation, end: failure ? 'stopped' : 'ended' };
}

describe('a file operation fails', () => {
  process.stdout.write(`ETCDKIT_SEED=${SEED}\n`);
  after(() => tally.print());
  for (const kind of ['fail once', 'go dead', 'fill up'] as const) {
    for (const isHalf of kind === 'fail once' ? [false, true] : [false]) {
      test(`${kind}${isHalf ? ', after half of a write' : ''}`, async (t) => {
        const calls: DiskCall[] = [];
        const plain = join(scratch(t), 'plain');
        mkdirSync(plain);
        const number = kind.length;
        await drive(
          plain,
          faultyDisk(undefined, { disk: hastyDisk(), onCall: (call) => calls.push(call) }),
          randomFor(SEED, number),
          { rounds: ROUNDS, callCount: () => 0, acknowledged: [] },
        );
        const stage = scratch(t);
        for (let at = 1; at <= calls.length; at++) {
          const fault = kind === 'fail once' ? { kind, at, isHalf } : { kind, at };
          const { operation, end } = await judge(join(stage, String(at)), number, fault).catch(
            (error: unknown) => {
              throw new Error(`${kind} at ${at}, ${calls[at - 1]!.operation}`, { cause: error });
            },
          );
          tally.add(operation, end);
        }
      });
    }
  }
});
