import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseOwner } from '../../../../src/ops/snapshot/restore/owner.ts';
import { scratch } from '../../../support/scratch.ts';

test('owners by number and by name', (t) => {
  const dir = scratch(t);
  const files = { passwd: join(dir, 'passwd'), group: join(dir, 'group') };
  writeFileSync(files.passwd, 'root:x:0:0:root:/root:/bin/sh\netcd:x:998:997::/var/lib/etcd:/sbin/nologin\n');
  writeFileSync(files.group, 'root:x:0:\nbackup:x:34:etcd\n');
  const good: [text: string, uid: number, gid: number][] = [
    ['1000:1001', 1000, 1001],
    ['etcd', 998, 997],
    ['etcd:backup', 998, 34],
    ['etcd:7', 998, 7],
    ['998', 998, 997],
    ['0:0', 0, 0],
  ];
  for (const [text, uid, gid] of good) assert.deepEqual(parseOwner(text, files), { uid, gid }, text);
  for (const text of [
    '',
    ':',
    'nobody',
    'etcd:',
    ':etcd',
    'etcd:none',
    '1000',
    '1:2:3',
    '-1:0',
    '4294967295:0',
  ]) {
    assert.throws(() => parseOwner(text, files), { code: 'usage', message: /^--owner: / }, text);
  }
  const none = { passwd: join(dir, 'none'), group: join(dir, 'none') };
  assert.deepEqual(parseOwner('5:6', none), { uid: 5, gid: 6 });
  assert.throws(() => parseOwner('etcd', none), /names no user/);
});
