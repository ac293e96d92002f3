/**
 * Seeded damage. An {@link Edit} is data: printed by a failing test, it can be pasted into a table and so become
 * a fixture that is computed, not stored.
 */
import { randomInt } from 'node:crypto';

const TWO_32 = 2 ** 32;

/** A small generator of reproducible randomness; equal seeds give equal sequences. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Mulberry32. */
  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** A whole number in 0…limit−1. */
  below(limit: number): number {
    return Math.floor((this.u32() / TWO_32) * limit);
  }

  chance(probability: number): boolean {
    return this.u32() < probability * TWO_32;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }
}

/** The seed of this run: `ETCDKIT_SEED`, or a new one. */
export function seedOfRun(): number {
  const given = process.env['ETCDKIT_SEED'];
  return given === undefined ? randomInt(TWO_32) : Number(given) >>> 0;
}

/** A generator for one mutation, the same whatever came before it. */
export function randomFor(seed: number, ...path: readonly number[]): Random {
  let mixed = seed;
  for (const step of path) mixed = new Random(mixed ^ Math.imul(step + 1, 0x9e3779b1)).u32();
  return new Random(mixed);
}

/** Bytes to put at an offset. */
interface Patch {
  offset: number;
  bytes: Uint8Array;
}

export interface Edit {
  /** What kind of damage it is, for people. */
  what: string;
  patches: readonly Patch[];
  /** The file is cut off here, after the patches. */
  size?: number;
}

/** A damaged copy. */
export function damage(bytes: Uint8Array, edit: Edit): Uint8Array {
  // A `Buffer`'s own slice would share its memory.
  const copy = new Uint8Array(bytes);
  for (const { offset, bytes: patch } of edit.patches) copy.set(patch, offset);
  return edit.size === undefined ? copy : copy.subarray(0, edit.size);
}

/** One line that says all of it. */
export function describeEdit({ what, patches, size }: Edit): string {
  const parts = patches.map(({ offset, bytes }) => {
    const isZero = bytes.length > 32 && bytes.every((byte) => byte === 0);
    return `${offset}: ${isZero ? `${bytes.length} zeros` : Buffer.from(bytes).toString('hex')}`;
  });
  if (size !== undefined) parts.push(`cut at ${size}`);
  return `${what} { ${parts.join(', ')} }`;
}

/** Offsets whose byte is another one afterwards; a cut counts nothing. */
export function changedOffsets(bytes: Uint8Array, edit: Edit): number[] {
  const changed = new Set<number>();
  const after = edit.patches.length > 1 ? damage(bytes, { ...edit, size: bytes.length }) : undefined;
  for (const { offset, bytes: patch } of edit.patches) {
    for (let i = 0; i < patch.length; i++) {
      if ((after ? after[offset + i] : patch[i]) !== bytes[offset + i]) changed.add(offset + i);
    }
  }
  return [...changed];
}

/** `[start, end)` of a file. */
export interface Run {
  start: number;
  end: number;
}

export function flipBit(random: Random, bytes: Uint8Array, within: Run): Edit {
  const offset = within.start + random.below(within.end - within.start);
  const bit = random.below(8);
  return {
    what: `flip bit ${bit}`,
    patches: [{ offset, bytes: Uint8Array.of(bytes[offset]! ^ (1 << bit)) }],
  };
}

export function cut(random: Random, within: Run): Edit {
  return { what: 'cut', patches: [], size: within.start + random.below(within.end - within.start) };
}

/** Zeroes the aligned unit of `unitSize` bytes that a random place falls into. */
export function zeroUnit(random: Random, size: number, unitSize: number): Edit {
  const offset = random.below(Math.ceil(size / unitSize)) * unitSize;
  const length = Math.min(unitSize, size - offset);
  return { what: `zero ${unitSize}`, patches: [{ offset, bytes: new Uint8Array(length) }] };
}

export function swapUnits(random: Random, bytes: Uint8Array, unitSize: number): Edit {
  const count = Math.floor(bytes.length / unitSize);
  const a = random.below(count) * unitSize;
  const b = random.below(count) * unitSize;
  return {
    what: `swap ${unitSize}`,
    patches: [
      { offset: a, bytes: bytes.slice(b, b + unitSize) },
      { offset: b, bytes: bytes.slice(a, a + unitSize) },
    ],
  };
}

/** Another value for a field: a bit more or less, zero, all ones, one more, one less, or anything. */
export function changeField(random: Random, bytes: Uint8Array, field: Run): Edit {
  const old = bytes.slice(field.start, field.end);
  const last = old.length - 1;
  const low = random.chance(0.5) ? 0 : last;
  const variants: Array<() => Uint8Array> = [
    () => old.with(low, old[low]! ^ (1 << random.below(8))),
    () => old.with(random.below(old.length), random.below(256)),
    () => old.with(low, (old[low]! + 1) & 0xff),
    () => old.with(low, (old[low]! + 255) & 0xff),
    () => new Uint8Array(old.length),
    () => new Uint8Array(old.length).fill(0xff),
    () => random.bytes(old.length),
  ];
  return { what: 'change field', patches: [{ offset: field.start, bytes: random.pick(variants)() }] };
}
