// The table of etcd's error texts and statuses holds what etcd's own source says, and nothing else.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { STATUS, type Status } from '../../src/rpc/status.ts';
import { ETCD_STATUS } from '../../src/server/rpc-errors.ts';
import { sourceFolder } from './cache.ts';
import { skipReason } from './etcd.ts';

/** Go's name of a code in ours: `InvalidArgument`, `Canceled`. */
function statusOf(code: string): Status {
  const name = code === 'Canceled' ? 'cancelled' : `${code[0]!.toLowerCase()}${code.slice(1)}`;
  return STATUS[name as keyof typeof STATUS];
}

test('texts and statuses are those of etcd 3.6', { skip: skipReason('3.6') }, () => {
  const args = ['list', '-m', '-f', '{{.Dir}}', 'go.etcd.io/etcd/api/v3'];
  const folder = execFileSync('go', args, { cwd: sourceFolder('3.6'), encoding: 'utf8' }).trim();
  const source = readFileSync(join(folder, 'v3rpc', 'rpctypes', 'error.go'), 'utf8');
  const found = [...source.matchAll(/status\.Error\(codes\.(\w+), "([^"]+)"\)/g)];
  assert.ok(found.length > 50);
  const expected = Object.fromEntries(found.map(([, code, text]) => [text!, statusOf(code!)]));
  assert.deepEqual({ ...ETCD_STATUS }, expected);
});
