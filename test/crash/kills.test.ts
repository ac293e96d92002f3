/** Every operation that writes, in a process of its own that kills itself before one of its file operations. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { type DiskCall, type Fault } from '../support/faulty-disk.ts';
import { scratch } from '../support/scratch.ts';
import { CASES } from './cases.ts';
import { inParallel, startVictim } from './child.ts';
import { kindOf, World } from './judge.ts';
import { Tally } from './tally.ts';

const tally = new Tally('kills, by the operation that was to come', ['old', 'between', 'new']);
const leftovers = new Tally('what they left beside', ['times']);

/**
 * Until the first name is given nothing shows outside, and "go dead" in `faults.test.ts` tries each step: here the
 * first and the last operation of a kind will do. From there on every one counts.
 */
function sampled(calls: readonly DiskCall[]): DiskCall[] {
  const isVisible = ({ operation }: DiskCall): boolean => operation === 'rename' || operation === 'link';
  const hidden = calls.slice(0, calls.findIndex(isVisible));
  const isEnd = (call: DiskCall): boolean => {
    const alike = hidden.filter(({ operation }) => operation === call.operation);
    return call === alike[0] || call === alike.at(-1);
  };
  return [...hidden.filter(isEnd), ...calls.slice(hidden.length)];
}

function faultsAt(calls: readonly DiskCall[]): Array<{ fault: Fault; call: DiskCall }> {
  return sampled(calls).flatMap((call) => {
    const at = call.number;
    const kill = { fault: { kind: 'kill' as const, at }, call };
    return call.operation === 'write' ? [kill, { fault: { ...kill.fault, isHalf: true }, call }] : [kill];
  });
}

async function kill(world: World, fault: Fault, call: DiskCall): Promise<void> {
  const root = world.plant();
  const { ending } = startVictim({ case: world.case.name, root, fault });
  const { signal, stderr } = await ending;
  assert.equal(signal, 'SIGKILL', `was not killed: ${stderr}`);
  const judgement = await world.judge(root);
  await world.runAgain(root, judgement);

  const { stage } = judgement;
  const row = `${call.operation}${'isHalf' in fault ? ', half done' : ''}`;
  tally.add(row, stage === 0 ? 'old' : stage === world.units.length ? 'new' : 'between');
  for (const leftover of judgement.leftovers) leftovers.add(kindOf(leftover), 'times');
  rmSync(root, { recursive: true });
}

describe('a process dies', () => {
  after(() => {
    tally.print();
    leftovers.print();
  });
  for (const of of CASES.filter(({ isVariant }) => !isVariant)) {
    test(of.name, async (t) => {
      const world = await World.of(scratch(t), of);
      const problems: string[] = [];
      await inParallel(faultsAt(world.calls), async ({ fault, call }) => {
        try {
          await kill(world, fault, call);
        } catch (error) {
          problems.push(
            `${JSON.stringify(fault)} ${call.operation} ${call.path}: ${(error as Error).message}`,
          );
        }
      });
      assert.equal(problems.join('\n'), '');
    });
  }
});
