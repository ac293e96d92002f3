import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as layouts from '../../../src/format/bolt/layout.ts';
import { boltFile, readBolt } from '../../support/bolt-spec.ts';
import { MemorySource } from '../../../src/bytes/source.ts';
import { projectRoot } from '../../support/project.ts';

const README = readFileSync(join(projectRoot(), 'src/format/bolt/README.md'), 'utf8');
const { PAGE_HEADER, META, BRANCH_ELEMENT, LEAF_ELEMENT, BUCKET_HEADER } = layouts;

for (const { name, size, fields } of [PAGE_HEADER, META, BRANCH_ELEMENT, LEAF_ELEMENT, BUCKET_HEADER]) {
  test(`the README's table of the ${name} is the layout`, () => {
    const section = README.split('\n### ').find((text) => text.startsWith(`${name}: ${size} bytes`));
    assert.ok(section, `a section for ${name}`);
    const rows = [...section.matchAll(/^\| (\d+) \| (\d+) \| (\w+) \|/gm)].map((row) =>
      row.slice(1, 4).join(' '),
    );
    const expected = Object.entries(fields).map(([field, at]) => `${at.offset} ${at.size} ${field}`);
    assert.deepEqual(rows, expected);
  });
}

test('the README names the kinds of pages by their flags', () => {
  const kinds = [...README.matchAll(/^\| `0x(\d\d)` \| (\w+) \|/gm)].map(([, flags, kind]) => [
    parseInt(flags!, 16),
    kind,
  ]);
  assert.deepEqual(
    kinds,
    [1, 2, 4, 16].map((flags) => [flags, layouts.pageTypeName(flags)]),
  );
  assert.equal(layouts.pageTypeName(0), 'unknown<00>');
  assert.equal(layouts.pageTypeName(0x12), 'unknown<12>');
});

test("the README's example is what a file has", () => {
  const example = README.slice(README.indexOf('## Example'), README.indexOf('## Writing'));
  const hex = [...example.matchAll(/^[\da-f]{4} {2}((?:[\da-f]{2} {1,2})+) /gm)].map((line) =>
    line[1]!.replaceAll(' ', ''),
  );
  const file = boltFile({ root: 3, pages: { 3: { leaf: [{ bucket: 'b', inline: [['k', 'v']] }] } } });
  const bytes = Buffer.from(hex.join(''), 'hex');
  assert.deepEqual(Buffer.from(file.subarray(3 * 1024, 3 * 1024 + bytes.length)), bytes);
  const { findings, buckets } = readBolt(new MemorySource(file));
  assert.deepEqual(findings, []);
  assert.deepEqual([...buckets.get('b')!.pairs], [['k', 'v']]);
});
