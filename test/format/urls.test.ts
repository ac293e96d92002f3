import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../src/errors.ts';
import { addressOf, parseUrls } from '../../src/format/urls.ts';

const refuse = (message: string): UsageError => new UsageError('usage', message);

test('URLs are sorted, trimmed and printed as Go does', () => {
  const given = ['unix://run/b.sock', ' HTTP://b:2', 'http://[::1]:3', 'http://user@a:1'];
  assert.deepEqual(parseUrls(given, refuse), [
    'http://[::1]:3',
    'http://b:2',
    'http://user@a:1',
    'unix://run/b.sock',
  ]);
});

test('what is no URL is told in the words of etcd', () => {
  const wrong: Record<string, string> = {
    '': 'URL scheme must be http, https, unix, or unixs: ',
    'ftp://a:1': 'URL scheme must be http, https, unix, or unixs: ftp://a:1',
    'http://a': 'URL address does not have the form "host:port": http://a',
    'http://a:1/b': 'URL must not contain a path: http://a:1/b',
    'http://a:x': 'parse "http://a:x": invalid port ":x" after host',
    'a:1': 'URL scheme must be http, https, unix, or unixs: a:1',
    '127.0.0.1:2379': 'parse "127.0.0.1:2379": first path segment in URL cannot contain colon',
  };
  for (const [text, message] of Object.entries(wrong))
    assert.throws(() => parseUrls([text], refuse), { message }, text);
});

test('addresses', () => {
  assert.deepEqual(addressOf('http://localhost:2379'), {
    isSecure: false,
    kind: 'tcp',
    host: 'localhost',
    port: 2379,
  });
  assert.deepEqual(addressOf('https://[fe80::1]:1'), {
    isSecure: true,
    kind: 'tcp',
    host: 'fe80::1',
    port: 1,
  });
  assert.deepEqual(addressOf('http://user:pass@10.0.0.1:'), {
    isSecure: false,
    kind: 'tcp',
    host: '10.0.0.1',
    port: 0,
  });
  assert.deepEqual(addressOf('unixs:///run/e.sock'), { isSecure: true, kind: 'unix', path: '/run/e.sock' });
});
