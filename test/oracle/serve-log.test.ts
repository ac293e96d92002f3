/** The log of real etcd 3.6 and ours: the same lines at the same levels, with fields that etcd's have. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { serveWith } from '../../src/cli/commands/serve.ts';
import type { StartServer } from '../../src/server/config.ts';
import { scratch } from '../support/scratch.ts';
import { skipReason, startEtcd } from './etcd.ts';

type Line = Record<string, unknown>;

function linesOf(log: string): Line[] {
  return log
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line);
}

/** What etcd cannot say of itself. */
const OWN_FIELDS = ['etcdkit-version', 'node-version'];

test('lines that operators look for', { skip: skipReason('3.6') }, async (t) => {
  const directory = scratch(t);
  const server = await startEtcd('3.6', { dataDir: join(directory, 'data'), unsafeNoFsync: true });
  await server.stop();
  const theirs = linesOf(server.log());

  const output = join(directory, 'ours.log');
  const start: StartServer = async () => ({
    urls: ['http://127.0.0.1:4001'],
    done: Promise.resolve(),
    stop: async () => {},
  });
  await serveWith(start, {
    operands: [],
    flags: {
      'write-out': 'simple',
      timeout: 0,
      'log-level': undefined,
      'log-format': 'json',
      compat: undefined,
      help: false,
    },
    given: new Map([
      ['data-dir', 'x'],
      ['log-outputs', output],
    ]),
    environment: {},
    style: { shapes: '3.6', program: 'etcdkit' },
    context: () => assert.fail('it has a context of its own'),
  });
  const ours = linesOf(readFileSync(output, 'utf8'));
  assert.deepEqual(
    ours.map((line) => line['msg']),
    [
      "it isn't recommended to use default name, please set a value for --name. Note that etcd might run into issue when multiple members have the same default name",
      'starting an etcd server',
      'ready to serve client requests',
      'serving client traffic insecurely; this is strongly discouraged!',
      'closed etcd server',
    ],
  );
  for (const line of ours) {
    const same = theirs.find((other) => other['msg'] === line['msg']);
    assert.ok(same, String(line['msg']));
    assert.equal(line['level'], same['level']);
    assert.deepEqual(Object.keys(line).slice(0, 3), Object.keys(same).slice(0, 3));
    assert.equal(String(line['ts']).length, String(same['ts']).length);
    const extra = Object.keys(line).filter((key) => !(key in same) && !OWN_FIELDS.includes(key));
    assert.deepEqual(extra, [], String(line['msg']));
    for (const key of Object.keys(line).filter((field) => field in same))
      assert.equal(typeof line[key], typeof same[key], `${String(line['msg'])}: ${key}`);
  }
});
