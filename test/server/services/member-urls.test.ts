import assert from 'node:assert/strict';
import { test } from 'node:test';
import { areMemberUrls } from '../../../src/server/services/member-urls.ts';

for (const url of [
  'http://127.0.0.1:2380',
  ' https://example.com:443 ',
  'HTTP://a:1',
  'http://[fe80::1]:2380',
  'http://user@a:1',
  'http://:2380',
  'http://a:1?x=1',
  'unix://m0:1',
  'unixs:/tmp/socket',
]) {
  test(`etcd takes ${url}`, () => assert.equal(areMemberUrls([url]), true));
}

for (const url of [
  '',
  'a:1',
  '//a:1',
  'http://a',
  'http://a:1/',
  'http://a:b',
  'http://a b:1',
  'http://fe80::1:2380',
  'http:a:1',
  'tcp://a:1',
]) {
  test(`etcd does not take ${JSON.stringify(url)}`, () => assert.equal(areMemberUrls([url]), false));
}

test('one wrong URL among others spoils them, and none is none', () => {
  assert.equal(areMemberUrls(['http://a:1', 'http://a']), false);
  assert.equal(areMemberUrls([]), false);
});
