import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseStyle, styleOf } from '../../src/cli/style.ts';

test('native unless something says otherwise', () => {
  assert.deepEqual(chooseStyle({ programPath: '/usr/bin/etcdkit' }), { shapes: '3.6', program: 'etcdkit' });
  assert.deepEqual(chooseStyle({ programPath: '/usr/bin/etcdkit', variable: '' }), styleOf(undefined));
  assert.deepEqual(chooseStyle({ programPath: '' }), styleOf(undefined));
});

test('the name etcdutl turns compat on; the variable and the flag win over it', () => {
  for (const programPath of ['/usr/bin/etcdutl', 'etcdutl', String.raw`C:\bin\etcdutl.js`]) {
    assert.equal(chooseStyle({ programPath }).compat, '3.6');
    assert.equal(chooseStyle({ programPath, variable: '3.5' }).compat, '3.5');
    assert.equal(chooseStyle({ programPath, variable: 'off' }).compat, undefined);
    assert.equal(chooseStyle({ programPath, variable: '3.5', flag: '3.7' }).compat, '3.7');
  }
  assert.equal(chooseStyle({ programPath: '/etcdutl/etcdkit' }).compat, undefined);
});

test('a version without an etcdutl is refused, naming where it came from', () => {
  assert.throws(
    () => chooseStyle({ programPath: '', flag: '3.4' }),
    /^UsageError: --compat takes 3.5, 3.6, 3.7, not "3.4"$/,
  );
  assert.throws(() => chooseStyle({ programPath: '', variable: 'yes' }), /ETCDKIT_COMPAT takes/);
  assert.throws(() => chooseStyle({ programPath: '', flag: '' }), /--compat takes/);
});
