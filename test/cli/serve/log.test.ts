import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { serverLog } from '../../../src/cli/serve/log.ts';
import type { LogSettings } from '../../../src/server/config.ts';
import { scratch } from '../../support/scratch.ts';

const SETTINGS: LogSettings = { level: 'info', format: 'json', outputs: ['stderr'] };
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

function lines(settings: Partial<LogSettings>, use: (log: ReturnType<typeof serverLog>) => void): string[] {
  const written: string[] = [];
  const log = serverLog(
    { ...SETTINGS, ...settings },
    (output) => (line) => written.push(`${output}: ${line}`),
  );
  use(log);
  return written;
}

test('JSON lines have the keys of zap, in its order up to the caller', () => {
  const [first] = lines({}, (log) =>
    log.info({ id: 2n ** 63n, urls: ['a'] }, 'ready to serve client requests'),
  );
  const text = first!.replace('stderr: ', '');
  assert.match(text, /^\{"level":"info","ts":"[^"]+","caller":"etcdkit\/serve",/);
  const { ts, ...record } = JSON.parse(text) as Record<string, unknown>;
  assert.match(String(ts), TIME);
  assert.deepEqual(record, {
    level: 'info',
    caller: 'etcdkit/serve',
    id: '9223372036854775808',
    urls: ['a'],
    msg: 'ready to serve client requests',
  });
});

test('console lines are columns', () => {
  const [first, second] = lines({ format: 'console' }, (log) => {
    log.warn({ address: '127.0.0.1:1' }, 'serving');
    log.error({}, 'bad');
  });
  assert.match(first!, /^stderr: \S+Z\twarn\tetcdkit\/serve\tserving\t\{"address": "127\.0\.0\.1:1"\}\n$/);
  assert.match(second!, /Z\terror\tetcdkit\/serve\tbad\n$/);
});

test('levels below the one asked for are left out, and errors are their messages', () => {
  const written = lines({ level: 'error' }, (log) => {
    log.warn({}, 'no');
    log.error({ error: new Error('why') }, 'yes');
  });
  assert.equal(written.length, 1);
  assert.equal((JSON.parse(written[0]!.slice(8)) as { error: string }).error, 'why');
});

test('every output gets every line; files are appended to', (t) => {
  const directory = scratch(t);
  const outputs = [join(directory, 'a.log'), join(directory, 'b.log')];
  serverLog({ ...SETTINGS, outputs }).info({}, 'one');
  serverLog({ ...SETTINGS, outputs }).info({}, 'two');
  for (const output of outputs) assert.match(readFileSync(output, 'utf8'), /"one"\}\n.*"two"\}\n$/s);
});

test('without outputs nothing is written, and a file that cannot be opened is an error', () => {
  serverLog({ ...SETTINGS, outputs: [] }).info({}, 'nowhere');
  assert.throws(() => serverLog({ ...SETTINGS, outputs: ['/nonexistent/x.log'] }), {
    code: 'server.log',
    message: /ENOENT/,
  });
});

test(
  'a disk that is full does not stop whoever logs',
  { skip: existsSync('/dev/full') ? false : 'no /dev/full' },
  () => {
    const module = JSON.stringify(new URL('../../../src/cli/serve/log.js', import.meta.url).href);
    const script = `
    import { serverLog } from ${module};
    const log = serverLog({ level: 'info', format: 'json', outputs: ['/dev/full', 'stdout'] });
    log.info({}, 'one');
    log.info({}, 'two');
    process.stderr.write('alive');`;
    const full = openSync('/dev/full', 'w');
    const result = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      stdio: ['ignore', full, 'pipe'],
    });
    closeSync(full);
    assert.equal(result.status, 0);
    assert.match(result.stderr, /^cannot write to \/dev\/full: ENOSPC.*\ncannot write to stdout: .*\nalive$/);
  },
);
