/** Every file under `test/golden`, command by command. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import {
  formatGolden,
  GOLDEN_VARIABLE,
  type GoldenCase,
  goldenFiles,
  parseGolden,
  runGolden,
} from '../support/golden.ts';

const isWriting = process.env[GOLDEN_VARIABLE] === 'write';

for (const { name, path } of goldenFiles()) {
  describe(`golden ${name}`, () => {
    const cases = parseGolden(readFileSync(path, 'utf8'));
    const seen: GoldenCase[] = [];
    for (const item of cases) {
      test(item.script, async () => {
        const expected = await runGolden(item.script);
        seen.push({ ...item, expected });
        if (isWriting && seen.length === cases.length) writeFileSync(path, formatGolden(seen));
        if (!isWriting) assert.equal(expected, item.expected);
      });
    }
    test('the file is in canonical form', { skip: isWriting }, () => {
      assert.equal(readFileSync(path, 'utf8'), formatGolden(cases));
    });
  });
}
