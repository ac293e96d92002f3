import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagValues, GLOBAL_FLAGS } from '../../../src/cli/flags.ts';
import { printFields } from '../../../src/cli/print/fields.ts';
import { choosePrinter } from '../../../src/cli/print/printer.ts';
import type { Report } from '../../../src/cli/print/report.ts';
import { printSimple } from '../../../src/cli/print/simple.ts';
import { styleOf } from '../../../src/cli/style.ts';
import { UnsupportedError, UsageError } from '../../../src/errors.ts';

const REPORT: Report = {
  entries: [
    [
      { json: 'hash', field: 'Hash', column: 'hash', value: 255, cell: 'ff' },
      { json: 'only', value: 'json' },
      { field: 'Ids', column: 'ids', value: [1n, 2n] },
      { json: 'version', field: 'Version', column: 'version', value: '' },
    ],
  ],
};

test('simple ends with a blank when the last value is empty, as upstream does', () => {
  assert.equal(printSimple(REPORT), 'ff, [1 2], \n');
});

test('fields print values, not cells, and no quotes', () => {
  assert.equal(printFields(REPORT), '"Hash" : 255\n"Ids" : [1 2]\n"Version" : \n');
});

test('formats that do not exist', () => {
  const choose = (format: string) => () =>
    choosePrinter({ style: styleOf(undefined), flags: flagValues(GLOBAL_FLAGS, { 'write-out': format }) });
  assert.throws(
    choose('xml'),
    (error) => error instanceof UsageError && error.message === 'unsupported output format',
  );
  assert.throws(choose('toString'), UsageError);
  assert.throws(
    choose('protobuf'),
    (error) =>
      error instanceof UnsupportedError && error.message === 'protobuf not supported as output format',
  );
  for (const format of ['simple', 'table', 'json', 'fields']) assert.doesNotThrow(choose(format));
});
