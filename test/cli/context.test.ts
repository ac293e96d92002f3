import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { consoleLog, jsonLog, makeContext } from '../../src/cli/context.ts';
import type { Log } from '../../src/ops/context.ts';

function logged(make: typeof consoleLog, level: string, use: (log: Log) => void): string {
  let text = '';
  use(make({ level, caller: 'snapshot/restore', write: (line) => (text += line) }));
  return text;
}

const TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`;

test('console lines have the columns of zap', () => {
  const text = logged(consoleLog, 'info', (log) => {
    log.debug({}, 'not shown');
    log.info(
      { path: 'a<b>.db', 'initial-memory-map-size': 10_737_418_240, urls: ['x', 'y'], ok: false },
      'restoring snapshot',
    );
    log.warn({}, 'no fields');
    log.info({ id: 0xcdf818194e3a8c32n, nested: { error: new Error('why'), none: undefined } }, 'large');
  });
  const [first, second, third] = text.split('\n');
  assert.match(
    first!,
    new RegExp(
      String.raw`^${TIME}\tinfo\tsnapshot/restore\trestoring snapshot\t\{"path": "a<b>\.db", "initial-memory-map-size": 10737418240, "urls": \["x", "y"\], "ok": false\}$`,
    ),
  );
  assert.match(second!, new RegExp(String.raw`^${TIME}\twarn\tsnapshot/restore\tno fields$`));
  assert.match(third!, /\{"id": 14841639068965178418, "nested": \{"error": "why", "none": null\}\}$/);
});

test('json lines are pino’s', () => {
  const text = logged(jsonLog, 'warn', (log) => {
    log.info({}, 'not shown');
    log.warn({ path: 'a.db' }, 'careful');
  });
  const { time, ...record } = JSON.parse(text) as Record<string, unknown>;
  assert.match(String(time), new RegExp(`^${TIME}$`));
  assert.deepEqual(record, { level: 'warn', caller: 'snapshot/restore', path: 'a.db', msg: 'careful' });
});

test('the first signal asks, the second ends the process', async () => {
  const module = new URL('../../src/cli/context.js', import.meta.url).href;
  const script = `
    import { makeContext } from ${JSON.stringify(module)};
    const { signal } = makeContext({ flags: {}, style: {}, caller: '' });
    signal.addEventListener('abort', () => process.stdout.write('asked'));
    setInterval(() => {}, 1000);
    process.stdout.write('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  assert.equal(String((await once(child.stdout, 'data'))[0]), 'ready');
  child.kill('SIGINT');
  assert.equal(String((await once(child.stdout, 'data'))[0]), 'asked');
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [130, null]);
});

test('no progress when stderr is no terminal', { skip: process.stderr.isTTY }, () => {
  const flags = { 'log-level': undefined, 'log-format': 'console' } as const;
  const context = makeContext({ flags, style: { shapes: '3.6', program: 'etcdkit' }, caller: 'x' });
  assert.equal(context.progress, undefined);
  assert.equal(context.signal?.aborted, false);
});
