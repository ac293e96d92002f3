import assert from 'node:assert/strict';
import { test } from 'node:test';
import { humanizeBytes } from '../../src/bytes/humanize.ts';

// Printed by go-humanize v1.0.1.
const KNOWN: [number, string][] = [
  [0, '0 B'],
  [9, '9 B'],
  [10, '10 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [9949, '9.9 kB'],
  [9950, '10 kB'],
  [10_450, '10 kB'],
  [10_500, '10 kB'],
  [12_500, '12 kB'],
  [20_480, '20 kB'],
  [20_500, '20 kB'],
  [21_500, '22 kB'],
  [22_500, '22 kB'],
  [36_864, '37 kB'],
  [40_960, '41 kB'],
  [999_499, '1000 kB'],
  [999_999, '1000 kB'],
  [1_000_000, '1.0 MB'],
  [1_049_999, '1.0 MB'],
  [1_050_000, '1.1 MB'],
  [6_250_000, '6.3 MB'],
  [16_801_792, '17 MB'],
  [999_999_999, '1000 MB'],
  [1e9, '1.0 GB'],
  [1e12, '1.0 TB'],
  [1e15, '1.0 PB'],
];

test('sizes as go-humanize prints them', () => {
  for (const [sizeBytes, text] of KNOWN) assert.equal(humanizeBytes(sizeBytes), text, String(sizeBytes));
});
