import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatTimeout, parseTimeout } from '../../src/rpc/timeout.ts';

test('reads every unit', () => {
  const values = { '1H': 3_600_000, '2M': 120_000, '3S': 3000, '4m': 4, '5000u': 5, '6000000n': 6, '0m': 0 };
  for (const [text, ms] of Object.entries(values)) assert.ok(Math.abs(parseTimeout(text) - ms) < 1e-9, text);
});

test('refuses what grpc-go refuses, in its words', () => {
  const refusals = {
    '': 'transport: timeout string is too short: ""',
    S: 'transport: timeout string is too short: "S"',
    '123456789S': 'transport: timeout string is too long: "123456789S"',
    '5s': 'transport: timeout unit is not recognized: "5s"',
    '-5S': 'strconv.ParseUint: parsing "-5": invalid syntax',
  };
  for (const [text, why] of Object.entries(refusals))
    assert.throws(() => parseTimeout(text), { message: `malformed grpc-timeout: ${why}` });
});

test('writes what it reads, never shorter', () => {
  for (const ms of [0, 0.2, 1, 4999.5, 99_999_999, 100_000_001, 2 ** 40]) {
    const text = formatTimeout(ms);
    assert.match(text, /^\d{1,8}[mS]$/);
    assert.ok(parseTimeout(text) >= Math.min(ms, 99_999_999_000), text);
  }
});
