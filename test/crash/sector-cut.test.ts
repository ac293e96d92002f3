/** The model of torn and lost sectors itself: what it may leave, and that it leaves all of that. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../support/mutate.ts';
import { landSectors, randomSectors, SECTOR_SIZE } from './sector-cut.ts';

const filled = (size: number, byte: number): Uint8Array => new Uint8Array(size).fill(byte);

/** The file that comes out. */
function landed(
  durable: Uint8Array,
  changes: Parameters<typeof landSectors>[1],
  luck: Parameters<typeof landSectors>[2],
): Uint8Array {
  const { pieces, sizeBytes } = landSectors({ bytes: durable, sizeBytes: durable.length }, changes, luck);
  const whole = new Uint8Array(Math.max(sizeBytes, ...pieces.map(({ at, bytes }) => at + bytes.length)));
  whole.set(durable);
  for (const { at, bytes } of pieces) whole.set(bytes, at);
  return whole.subarray(0, sizeBytes);
}

const latest = { state: (count: number) => ({ index: count - 1, tornAt: 0 }), size: (n: number) => n - 1 };
const synced = { state: () => ({ index: 0, tornAt: 0 }), size: () => 0 };

test('with all luck every write is there, whatever sectors it begins and ends in', () => {
  const durable = filled(1500, 1);
  const changes = [
    { at: 100, bytes: filled(1000, 2) },
    { at: 90, bytes: filled(20, 3) },
    { at: 1400, bytes: filled(300, 4) },
    { sizeBytes: 5000 },
  ];
  const expected = new Uint8Array(5000);
  expected.set(durable);
  for (const change of changes) if (change.bytes) expected.set(change.bytes, change.at);
  assert.deepEqual(Buffer.from(landed(durable, changes, latest)), Buffer.from(expected));
  assert.deepEqual(Buffer.from(landed(durable, changes, synced)), Buffer.from(durable));
});

test('a sector is in one of the states it went through, or begins with the next one', () => {
  const durable = filled(SECTOR_SIZE, 0);
  const changes = [
    { at: 0, bytes: filled(10, 1) },
    { at: 10, bytes: filled(10, 2) },
  ];
  const seen = new Set<string>();
  const random = new Random(1);
  for (let i = 0; i < 2000; i++) {
    const file = landed(durable, changes, randomSectors(random));
    seen.add([...file.subarray(0, 20)].join(''));
  }
  const states = ['0'.repeat(20), '1'.repeat(10) + '0'.repeat(10), '1'.repeat(10) + '2'.repeat(10)];
  for (const state of states) assert.ok(seen.has(state), state);
  for (const state of seen) assert.match(state, /^1{0,10}0*$|^1{10}2{0,10}0*$/);
  assert.ok(seen.size > states.length, 'some are torn');
});

test('each sector has its own luck', () => {
  const random = new Random(2);
  const count = 8;
  const seen = new Set<string>();
  for (let i = 0; i < 500; i++) {
    const file = landed(
      filled(count * SECTOR_SIZE, 0),
      [{ at: 0, bytes: filled(count * SECTOR_SIZE, 1) }],
      randomSectors(random),
    );
    seen.add(Array.from({ length: count }, (_, sector) => file[sector * SECTOR_SIZE + 511]).join(''));
  }
  assert.ok(seen.size > 100, `${seen.size} of 256`);
});
