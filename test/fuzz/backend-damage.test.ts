/**
 * A database of a server with seeded damage, opened to be written to. It is refused with a `ToolError`, or it is sound
 * as far as pages tell: then it takes changes, and holds afterwards what was read from it before.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ToolError } from '../../src/errors.ts';
import { BoltBackend } from '../../src/store/backend/bolt.ts';
import { BUCKETS } from '../../src/store/schema/buckets.ts';
import { Tally } from '../crash/tally.ts';
import { type Content, contentOfFile, copyOf } from '../support/database-content.ts';
import { hastyDisk } from '../support/faulty-disk.ts';
import { Random, randomFor, seedOfRun } from '../support/mutate.ts';
import { scratch } from '../support/scratch.ts';

const SEED = seedOfRun();
const CASES = 1500;
const encode = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const decode = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const tally = new Tally('damaged databases of a backend', ['refused', 'written to']);

/** Of several levels, with free pages and values of several pages. */
async function base(path: string): Promise<Uint8Array> {
  const random = new Random(SEED);
  const backend = await BoltBackend.open(hastyDisk(), path, { isNew: true });
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 200; i++)
      backend.put('key', encode(`${round}-${i}`), random.bytes(random.below(i % 50 === 0 ? 9000 : 200)));
    for (let i = 0; i < 40; i++) backend.put('lease', encode(String(random.below(60))), random.bytes(9));
    for (let i = 0; i < 100; i++) backend.delete('key', encode(`${round - 1}-${random.below(200)}`));
    await backend.commit();
  }
  await backend.close();
  return readFileSync(path).subarray(0, backend.sizeBytes);
}

function damaged(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = new Uint8Array(bytes);
  const page = 4096 * random.below(copy.length / 4096);
  // Headers and elements are what walks go by; they come first.
  const reach = random.pick([16, 80, 400, 4096]);
  for (let i = random.pick([1, 1, 3]); i > 0; i--) {
    const at = page + random.below(reach);
    copy[at] = random.pick([0, 0xff, copy[at]! ^ (1 << random.below(8)), random.below(256)]);
  }
  if (random.chance(0.05)) return copy.subarray(0, random.below(copy.length));
  if (random.chance(0.05)) copy.copyWithin(page, 4096 * random.below(copy.length / 4096), page + 4096);
  return copy;
}

async function writeTo(path: string): Promise<'refused' | 'written to'> {
  let backend: BoltBackend;
  try {
    backend = await BoltBackend.open(hastyDisk(), path);
  } catch (error) {
    assert.ok(error instanceof ToolError, String(error));
    return 'refused';
  }
  const content: Content = new Map();
  for (const bucket of BUCKETS) {
    const rows = Array.from(backend.scan(bucket), ({ key, value }): [string, string] => [
      decode(key),
      decode(value),
    ]);
    for (const [key, value] of rows) assert.equal(decode(backend.get(bucket, encode(key))!), value);
    content.set(bucket, new Map(rows));
  }
  for (let i = 0; i < 100; i++) {
    backend.put('key', encode(`1-${i}`), encode('new'));
    content.get('key')!.set(`1-${i}`, 'new');
  }
  await backend.commit();
  await backend.defrag();
  await backend.close();
  const found = contentOfFile(path);
  // A bucket whose name was damaged is another one now.
  for (const name of found.keys()) if (!content.has(name)) found.delete(name);
  assert.deepEqual(found, copyOf(content));
  return 'written to';
}

describe('a damaged database', () => {
  process.stdout.write(`ETCDKIT_SEED=${SEED}\n`);
  after(() => tally.print());
  test('is refused, or takes changes and loses nothing that could be read', async (t) => {
    const directory = scratch(t);
    const bytes = await base(join(directory, 'base'));
    const path = join(directory, 'db');
    for (let i = 0; i < CASES; i++) {
      writeFileSync(path, damaged(bytes, randomFor(SEED, i)));
      try {
        tally.add('', await writeTo(path));
      } catch (error) {
        throw new Error(`ETCDKIT_SEED=${SEED}, case ${i}`, { cause: error });
      }
    }
  });
});
