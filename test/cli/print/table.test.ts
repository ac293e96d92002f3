import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Report } from '../../../src/cli/print/report.ts';
import { displayWidth, printTable } from '../../../src/cli/print/table.ts';

function report(columns: string[], ...rows: string[][]): Report {
  return { entries: rows.map((row) => row.map((value, at) => ({ column: columns[at]!, value }))) };
}

// The expectations were printed by tablewriter v0.0.5 and v1.1.4.
test('ASCII up to 3.6', () => {
  assert.equal(
    printTable(report(['odd', 'even'], ['xxxxxx', 'yyyyyyy']), '3.6'),
    `+--------+---------+
|  ODD   |  EVEN   |
+--------+---------+
| xxxxxx | yyyyyyy |
+--------+---------+
`,
  );
  assert.equal(
    printTable(report(['ключ', 'k'], ['日本語', 'é']), '3.5'),
    `+--------+---+
|  КЛЮЧ  | K |
+--------+---+
| 日本語 | é |
+--------+---+
`,
  );
});

test('box characters in 3.7', () => {
  assert.equal(
    printTable(report(['hash', 'version'], ['1', '']), '3.7'),
    `┌──────┬─────────┐
│ HASH │ VERSION │
├──────┼─────────┤
│    1 │         │
└──────┴─────────┘
`,
  );
});

test('values without a column are left out; several entries are several rows', () => {
  const entries = [1, 22].map((value) => [
    { column: 'n', value },
    { json: 'hidden', value: 'x' },
  ]);
  assert.equal(printTable({ entries }, '3.6'), '+----+\n| N  |\n+----+\n|  1 |\n| 22 |\n+----+\n');
});

test('width on a terminal', () => {
  assert.equal(displayWidth('abc'), 3);
  assert.equal(displayWidth('日本'), 4);
  assert.equal(displayWidth('e\u0301'), 1);
  assert.equal(displayWidth('🙂'), 2);
});
