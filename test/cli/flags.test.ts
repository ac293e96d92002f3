import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type FlagName,
  FLAGS,
  flagRow,
  flagText,
  flagValues,
  GLOBAL_FLAGS,
  type RawFlags,
} from '../../src/cli/flags.ts';
import { UsageError } from '../../src/errors.ts';

const valueOf = (name: FlagName, text: string): unknown => flagValues([name], { [name]: text })[name];

test('defaults', () => {
  assert.deepEqual(flagValues([...GLOBAL_FLAGS, 'rev'], {}), {
    'write-out': 'simple',
    timeout: 10_000,
    'log-level': undefined,
    'log-format': 'console',
    compat: undefined,
    help: false,
    rev: 0,
  });
});

test('letters are given once, and defaults are values that the flag takes', () => {
  const names = Object.keys(FLAGS) as FlagName[];
  const letters = names.map((name) => flagRow(name).short).filter((letter) => letter !== undefined);
  assert.equal(new Set(letters).size, letters.length);
  assert.doesNotThrow(() => flagValues(names, {}));
});

test('whole numbers as Go reads them', () => {
  const known: Record<string, number> = {
    '0': 0,
    '12': 12,
    '+7': 7,
    '0x10': 16,
    '0b11': 3,
    '0o17': 15,
    '017': 15,
  };
  for (const [text, value] of Object.entries(known)) assert.equal(valueOf('rev', text), value, text);
});

test('values that do not fit name the flag, natively and as pflag does', () => {
  const wrong: [FlagName, string, message: string, upstream: string][] = [
    [
      'rev',
      'abc',
      '--rev: "abc" is not a whole number',
      'invalid argument "abc" for "--rev" flag: strconv.ParseInt: parsing "abc": invalid syntax',
    ],
    [
      'rev',
      '9223372036854775808',
      '--rev: "9223372036854775808" does not fit into 64 bits',
      'invalid argument "9223372036854775808" for "--rev" flag: strconv.ParseInt: parsing "9223372036854775808": value out of range',
    ],
    [
      'timeout',
      '10',
      '--timeout: "10" is not a duration such as 10s, 1m30s or 500ms',
      'invalid argument "10" for "--timeout" flag: time: missing unit in duration "10"',
    ],
  ];
  for (const [name, text, message, upstream] of wrong) {
    assert.throws(
      () => valueOf(name, text),
      (error) => error instanceof UsageError && error.message === message && error.upstream === upstream,
    );
  }
  for (const text of ['', '1.5', '1e3', ' 1', '-1', '9007199254740992', '08']) {
    assert.throws(() => valueOf('rev', text), UsageError, text);
  }
  assert.throws(() => valueOf('timeout', '-1s'), UsageError);
  assert.throws(
    () => valueOf('log-level', 'loud'),
    /^UsageError: --log-level takes debug, info, warn, error, not "loud"/,
  );
});

test('of a flag given twice the last counts', () => {
  const raw: RawFlags = { rev: ['1', '2'] };
  assert.equal(flagValues(['rev'], raw).rev, 2);
});

test('the text of a flag', () => {
  assert.equal(flagText('write-out'), '--write-out');
});
