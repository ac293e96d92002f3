import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { IncomingBackup } from '../../../src/format/backup/incoming.ts';

const DATABASE = Buffer.alloc(1024, 'database');
const DIGEST = createHash('sha256').update(DATABASE).digest();

function fed(bytes: Uint8Array, sizes: readonly number[]): IncomingBackup {
  const backup = new IncomingBackup();
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    backup.add(bytes.subarray(at, at + size));
    at += size;
  }
  return backup;
}

test('the digest is found at the end, however the backup is cut', () => {
  const whole = Buffer.concat([DATABASE, DIGEST]);
  const sizes = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 10 });
  fc.assert(
    fc.property(sizes, (sizes) => {
      const backup = fed(whole, sizes);
      assert.equal(backup.size, whole.length);
      assert.deepEqual(Buffer.from(backup.finish('a server')), DIGEST);
    }),
  );
});

test('what is kept does not change when the piece does', () => {
  const piece = Buffer.concat([DATABASE, DIGEST]);
  const backup = fed(piece, [piece.length]);
  piece.fill(0);
  assert.deepEqual(Buffer.from(backup.finish('a server')), DIGEST);
});

test('a changed byte is found out, and so is a digest that is missing', () => {
  const whole = Buffer.concat([DATABASE, DIGEST]);
  for (const at of [0, 500, 1023, 1024, 1055]) {
    const damaged = Buffer.from(whole);
    damaged[at]! ^= 1;
    assert.throws(() => fed(damaged, [100]).finish('a server'), { code: 'backup.digest' });
  }
  for (const size of [0, 31, 1024, 1055])
    assert.throws(() => fed(whole.subarray(0, size), [64]).finish('a server'), {
      code: 'backup.digest-missing',
      upstream: `sha256 checksum not found [bytes: ${size}]`,
    });
});
