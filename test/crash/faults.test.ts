/**
 * Every operation that writes, with each of its file operations failing in turn: once, from then on for want of
 * space, and from then on altogether. See `faulty-disk.ts` for what that models.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { ToolError } from '../../src/errors.ts';
import { type DiskCall, type Fault, faultyDisk, hastyDisk } from '../support/faulty-disk.ts';
import { scratch } from '../support/scratch.ts';
import { CASES } from './cases.ts';
import { openDescriptors, World } from './judge.ts';
import { Tally } from './tally.ts';

const tally = new Tally('faults, by operation that failed and what was left', [
  'old',
  'between',
  'new',
  'new, no error',
]);

/** All faults worth trying at one operation. */
function faultsAt({ number: at, operation }: DiskCall): Fault[] {
  const faults: Fault[] = [{ kind: 'fail once', at }];
  if (operation === 'write') faults.push({ kind: 'fail once', at, isHalf: true });
  // Elsewhere a full disk shows only at the next operation that needs room.
  if (['create', 'write', 'makeDirectory', 'link', 'truncate'].includes(operation))
    faults.push({ kind: 'fill up', at });
  return [...faults, { kind: 'go dead', at }];
}

async function tryFault(world: World, fault: Fault, call: DiskCall): Promise<void> {
  const root = world.plant();
  const disk = faultyDisk(fault, { disk: hastyDisk(), onCall: () => world.assertPresent(root) });
  const descriptors = openDescriptors();
  const error: unknown = await world.run(root, disk).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.equal(openDescriptors(), descriptors, 'descriptors were left open');

  const { stage, leftovers } = await world.judge(root);
  const isNew = stage === world.units.length;
  if (error === undefined) assert.ok(isNew, 'success was reported, but nothing changed');
  else {
    assert.ok(error instanceof ToolError, `threw ${inspect(error)}`);
    assert.match(
      error.message,
      /: (?:no space left on device|input\/output error)$/,
      `threw ${error.message}`,
    );
  }
  if (fault.kind !== 'go dead') {
    assert.ok(stage === 0 || isNew, `was left half-way, ${stage} of ${world.units.length}`);
    // Only what could not be removed stays.
    const isExcused = call.operation === 'remove' && fault.kind === 'fail once';
    if (!isExcused) assert.deepEqual(leftovers, []);
  }
  const column = error === undefined ? 'new, no error' : isNew ? 'new' : stage === 0 ? 'old' : 'between';
  tally.add(`${fault.kind}: ${call.operation}`, column);
  rmSync(root, { recursive: true });
}

describe('a file operation fails', () => {
  after(() => tally.print());
  for (const of of CASES) {
    test(of.name, async (t) => {
      const world = await World.of(scratch(t), of);
      const problems: string[] = [];
      for (const call of world.calls) {
        for (const fault of faultsAt(call)) {
          try {
            await tryFault(world, fault, call);
          } catch (error) {
            problems.push(
              `${JSON.stringify(fault)} ${call.operation} ${call.path}: ${(error as Error).message}`,
            );
          }
        }
      }
      assert.equal(problems.join('\n'), '');
    });
  }
});
