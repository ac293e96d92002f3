import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { readConfigFile } from '../../../src/cli/serve/config-file.ts';
import { scratch } from '../../support/scratch.ts';

function read(t: TestContext, yaml: string): { texts: Record<string, string>; unknown: string[] } {
  const file = join(scratch(t), 'etcd.yml');
  writeFileSync(file, yaml);
  const { settings, unknown } = readConfigFile(file);
  return { texts: Object.fromEntries([...settings].map(([name, { text }]) => [name, text])), unknown };
}

test('keys of every type, as the flags would be given', (t) => {
  const yaml = `
name: m1
snapshot-count: 10000
grpc-keepalive-min-time: 5000000000
force-new-cluster: no
strict-reconfig-check: true
log-outputs: [stderr, /var/log/etcd.log]
listen-client-urls: http://127.0.0.1:2379,http://127.0.0.1:2389
quota-backend-bytes: 0
wal-dir:
experimental-snapshot-catch-up-entries: 5
`;
  assert.deepEqual(read(t, yaml).texts, {
    name: 'm1',
    'snapshot-count': '10000',
    'grpc-keepalive-min-time': '5000000000ns',
    'force-new-cluster': 'false',
    'strict-reconfig-check': 'true',
    'log-outputs': 'stderr,/var/log/etcd.log',
    'listen-client-urls': 'http://127.0.0.1:2379,http://127.0.0.1:2389',
    'quota-backend-bytes': '0',
    'experimental-snapshot-catchup-entries': '5',
  });
});

test('groups stand for flags', (t) => {
  const yaml = `
client-transport-security:
  cert-file: c.pem
  client-cert-auth: false
peer-transport-security:
  cert-file: p.pem
  allowed-cn: [a, b]
socket-options:
  reuse-address: true
`;
  assert.deepEqual(read(t, yaml).texts, {
    'cert-file': 'c.pem',
    'client-cert-auth': 'false',
    'peer-cert-file': 'p.pem',
    'peer-cert-allowed-cn': 'a,b',
    'socket-reuse-address': 'true',
  });
});

test('keys that nobody knows are given back', (t) => {
  const { unknown } = read(t, 'nam: x\nconfig-file: y\nsnapshot: z\nsocket-options: { other: true }\n');
  assert.deepEqual(unknown, ['nam', 'config-file', 'snapshot', 'socket-options.other']);
});

test('an empty file gives nothing', (t) => {
  assert.deepEqual(read(t, '# nothing\n').texts, {});
});

test('values of another type are refused as etcd refuses them', (t) => {
  const wrong: Record<string, RegExp> = {
    'name: 1': /^name in .*etcd\.yml must be a text, not 1$/,
    'snapshot-count: "5"': /must be a whole number, not "5"$/,
    'grpc-keepalive-min-time: 5s': /must be a whole number of nanoseconds, not "5s"$/,
    'pre-vote: "true"': /must be true or false/,
    'log-outputs: [1]': /must be a text or a list of texts/,
    'socket-options: 5': /socket-options must hold keys and values/,
    '- a': /the file must hold keys and values/,
    'a: [': /^cannot read the configuration file: /,
  };
  for (const [yaml, message] of Object.entries(wrong))
    assert.throws(() => read(t, yaml), { name: 'UsageError', message }, yaml);
});

test('a file that is not there is an error', () => {
  assert.throws(() => readConfigFile('/nonexistent/etcd.yml'), { message: /ENOENT/ });
});
