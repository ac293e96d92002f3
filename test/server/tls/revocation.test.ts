import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CorruptError } from '../../../src/errors.ts';
import { readRevokedSerials, Revocations } from '../../../src/server/tls/revocation.ts';
import { Authority } from '../../support/authority.ts';
import { rememberingLog } from '../../support/opened-member.ts';
import { scratch } from '../../support/scratch.ts';

/** DER: tag, length in two bytes at least, content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  return derOf(tag, Buffer.concat(parts));
}

function derOf(tag: number, content: Buffer): Buffer {
  const head = Buffer.from([tag, 0x84, 0, 0, 0, 0]);
  head.writeUInt32BE(content.length, 2);
  return Buffer.concat([head, content]);
}

const TIME = der(0x17, Buffer.from('250101000000Z'));

function listOf(entries: readonly Buffer[], version = [1]): Buffer {
  const empty = der(0x30);
  const body = der(
    0x30,
    der(0x02, Buffer.from(version)),
    empty,
    empty,
    TIME,
    TIME,
    derOf(0x30, Buffer.concat(entries)),
  );
  return der(0x30, body, empty, der(0x03, Buffer.from([0])));
}

test('reads what an authority revokes', async () => {
  const authority = await Authority.create();
  const serials = readRevokedSerials(
    await authority.revoke(['00ab12', '7f00000000000000000000000000000001']),
  );
  assert.deepEqual([...serials], ['ab12', '7f00000000000000000000000000000001']);
  assert.deepEqual([...readRevokedSerials(await authority.revoke([]))], []);
});

test('reads lists of many entries in little time', () => {
  const entries = Array.from({ length: 200_000 }, (_, i) => {
    const serial = Buffer.alloc(8);
    serial.writeBigUInt64BE(BigInt(i) + 1n);
    return der(0x30, der(0x02, serial), TIME);
  });
  const began = performance.now();
  const serials = readRevokedSerials(listOf(entries));
  assert.equal(serials.size, 200_000);
  assert.ok(performance.now() - began < 5000);
});

test('whatever the bytes are, it ends in a set or a CorruptError', async () => {
  const good = await (await Authority.create()).revoke(['ab12', 'cd34']);
  const tried: Buffer[] = [Buffer.alloc(0), Buffer.from('junk'), Buffer.concat([good, Buffer.alloc(1)])];
  for (let at = 0; at < good.length; at++) {
    tried.push(good.subarray(0, at));
    for (const value of [0x00, 0x30, 0x80, 0xff]) {
      const damaged = Buffer.from(good);
      damaged[at] = value;
      tried.push(damaged);
    }
  }
  for (const bytes of tried) {
    try {
      readRevokedSerials(bytes);
    } catch (error) {
      assert.ok(error instanceof CorruptError, String(error));
    }
  }
  assert.throws(() => readRevokedSerials(listOf([], [0])), { message: /^unsupported version/ });
});

test('a list is followed as it changes; one that cannot be read lets nobody in', async (t) => {
  const path = join(scratch(t), 'list.crl');
  const authority = await Authority.create();
  const { log, said } = rememberingLog();
  const revocations = new Revocations(path, log);
  assert.equal(revocations.refusalOf(['01']), `open ${path}: no such file or directory`);
  assert.equal(said.length, 1);

  writeFileSync(path, await authority.revoke(['0a']));
  assert.equal(revocations.refusalOf(['0B']), undefined);
  assert.equal(revocations.refusalOf(['0b', '0A']), 'transport: certificate serial a revoked');

  const list = await authority.revoke(['0b']);
  writeFileSync(path, `-----BEGIN X509 CRL-----\n${list.toString('base64')}\n-----END X509 CRL-----\n`);
  assert.match(revocations.refusalOf(['0c'])!, /PEM/);
  writeFileSync(path, list);
  assert.equal(revocations.refusalOf(['0c']), undefined);
  assert.match(revocations.refusalOf(['0b'])!, /revoked/);
  writeFileSync(path, list.subarray(0, 40));
  assert.match(revocations.refusalOf(['0c'])!, /not the DER/);
  rmSync(path);
  assert.match(revocations.refusalOf(['0c'])!, /no such file/);
});
