/**
 * One file operation after the other fails while a member is opened, written to, snapshotted and closed: once, from then
 * on, or because the disk is full. Whatever is told to the caller, the directory opens afterwards and holds every write
 * that was acknowledged.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { verify } from '../../src/check/verify.ts';
import { ToolError } from '../../src/errors.ts';
import { copyFixture } from '../support/member-copy.ts';
import { type Fault, faultyDisk, hastyDisk } from '../support/faulty-disk.ts';
import { beginAll, openAt, takeSnapshot } from '../support/opened-member.ts';
import { scratch } from '../support/scratch.ts';

const LIMITS = { segmentBytes: 4096, snapshotsMax: 1, walsMax: 1 };
const PUTS = 12;

/** A run under a fault. Gives what was acknowledged, and how it ended. */
async function runUnder(
  dataDir: string,
  fault: Fault | undefined,
): Promise<{ keys: string[]; error: unknown; calls: number }> {
  let calls = 0;
  const disk = faultyDisk(fault, { disk: hastyDisk(), onCall: () => calls++ });
  const keys: string[] = [];
  let error: unknown;
  try {
    const member = await openAt(dataDir, { disk, ...LIMITS });
    try {
      for (let i = 0; i < PUTS; i++) {
        const key = `key${i}`;
        await beginAll(member, [{ put: { key: Buffer.from(key), value: Buffer.alloc(900, 0x61) } }])();
        keys.push(key);
        if (i === 5) {
          await takeSnapshot(member);
          member.log.purge();
        }
      }
    } finally {
      await member.release();
    }
  } catch (thrown) {
    error = thrown;
  }
  return { keys, error, calls };
}

async function judge(dataDir: string, keys: readonly string[]): Promise<void> {
  const member = await openAt(dataDir, { disk: hastyDisk(), ...LIMITS });
  for (const key of keys) {
    const found = member.applier.keys.range({ key: Buffer.from(key), end: undefined });
    assert.equal(found.length, 1, `${key} was acknowledged, and is gone`);
  }
  await member.release();
  const { verdict, findings } = await verify(dataDir);
  const damage = findings.find(({ severity }) => severity !== 'note');
  assert.equal(damage, undefined, `${verdict}: ${damage?.message}`);
}

const FAULTS: ReadonlyArray<[name: string, at: (at: number) => Fault]> = [
  ['fails once', (at) => ({ kind: 'fail once', at })],
  ['fails once in its middle', (at) => ({ kind: 'fail once', at, isHalf: true })],
  ['finds the disk full', (at) => ({ kind: 'fill up', at })],
  ['finds the disk dead', (at) => ({ kind: 'go dead', at })],
];

for (const [what, plant] of [
  ['a new directory', () => undefined],
  ['what etcd 3.6 left', (root: string) => copyFixture(root, '3.6', 'base')],
] as const) {
  describe(`in ${what} each file operation`, () => {
    for (const [name, faultAt] of FAULTS) {
      test(name, async (t) => {
        const root = scratch(t);
        const base = plant(root);
        const runIn = async (number: number, fault: Fault | undefined) => {
          const dataDir = join(root, `${number}`);
          if (base) cpSync(base, dataDir, { recursive: true });
          return { dataDir, ...(await runUnder(dataDir, fault)) };
        };
        const whole = await runIn(0, undefined);
        assert.equal(whole.error, undefined);
        assert.equal(whole.keys.length, PUTS);
        const problems: string[] = [];
        let failed = 0;
        for (let at = 1; at <= whole.calls; at++) {
          const { dataDir, keys, error } = await runIn(at, faultAt(at));
          try {
            if (error !== undefined) {
              failed++;
              assert.ok(error instanceof ToolError, String(error));
            }
            if (existsSync(dataDir)) await judge(dataDir, keys);
          } catch (problem) {
            problems.push(`operation ${at}: ${(problem as Error).message} (told: ${String(error)})`);
          }
        }
        assert.deepEqual(problems.slice(0, 5), [], `${problems.length} problems`);
        assert.ok(failed > 0);
      });
    }
  });
}
