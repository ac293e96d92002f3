/**
 * What a disk may hold of a file's data after a power cut, sector by sector. A disk writes sectors of 512 bytes in any
 * order. Of each sector that was written since the last sync, any state that it went through may be there, the synced
 * one included; or it is torn: its start from a later state than its end. The file's length may be any it had since.
 * It says nothing of names: `power-cut.ts` does, for any number of files.
 */
import type { Random } from '../support/mutate.ts';
import type { Luck } from './power-cut.ts';

export const SECTOR_SIZE = 512;

/** A write, or a new length. */
export type DataChange = { at: number; bytes: Uint8Array } | { sizeBytes: number };

/** Decides what is there of data that was not synced. */
export interface SectorLuck {
  /** Which of `count` states of a sector, in the order of time, survives; and where the one after it reaches to. */
  state(count: number): { index: number; tornAt: number };
  /** Which of `count` lengths in the order of time. */
  size(count: number): number;
}

/** Every sector on its own, with odds that differ from cut to cut. */
export function randomSectors(random: Random): SectorLuck {
  const lost = random.pick([0, 0.05, 0.5, 0.95, 1]);
  const torn = random.pick([0, 0, 0.1, 0.5]);
  return {
    state(count) {
      const index = random.chance(lost) ? random.below(count) : count - 1;
      return { index, tornAt: random.chance(torn) ? random.below(SECTOR_SIZE) : 0 };
    },
    size: (count) => (random.chance(lost) ? random.below(count) : count - 1),
  };
}

/** Random luck for sectors, and for names. */
export function randomSectorLuck(random: Random): Luck {
  return {
    names: (count) => random.below(count + 1),
    write: () => 'whole',
    attributes: () => random.chance(0.5),
    sectors: randomSectors(random),
  };
}

interface FileContent {
  bytes: Uint8Array;
  sizeBytes: number;
}

type Write = Extract<DataChange, { at: number }>;

/** What is there of `changes` on top of `durable`: sectors, and the length. */
export function landSectors(
  durable: FileContent,
  changes: readonly DataChange[],
  luck: SectorLuck,
): { pieces: Write[]; sizeBytes: number } {
  const sizes = [durable.sizeBytes];
  const writes = new Map<number, Write[]>();
  for (const change of changes) {
    const size = sizes.at(-1)!;
    if (!('at' in change)) {
      sizes.push(change.sizeBytes);
      continue;
    }
    const end = change.at + change.bytes.length;
    sizes.push(Math.max(size, end));
    const first = Math.floor(change.at / SECTOR_SIZE);
    for (let sector = first; sector * SECTOR_SIZE < end; sector++)
      writes.set(sector, [...(writes.get(sector) ?? []), change]);
  }
  const pieces = [...writes].map(([sector, of]) => {
    const start = sector * SECTOR_SIZE;
    const { index, tornAt } = luck.state(of.length + 1);
    const bytes = stateOf(durable, start, of.slice(0, index));
    const next = stateOf(durable, start, of.slice(0, index + 1));
    bytes.set(next.subarray(0, tornAt));
    return { at: start, bytes };
  });
  return { pieces, sizeBytes: sizes[luck.size(sizes.length)]! };
}

/** The sector at `start` after these writes. */
function stateOf(durable: FileContent, start: number, writes: readonly Write[]): Uint8Array {
  const sector = new Uint8Array(SECTOR_SIZE);
  sector.set(durable.bytes.subarray(start, start + SECTOR_SIZE));
  for (const { at, bytes } of writes) {
    const from = Math.max(0, start - at);
    sector.set(bytes.subarray(from, Math.max(from, start + SECTOR_SIZE - at)), Math.max(0, at - start));
  }
  return sector;
}
