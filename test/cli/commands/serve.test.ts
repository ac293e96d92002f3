/** Around a server: what is logged, how signals end it. The server itself is one that only listens. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';

const moduleOf = (path: string): string =>
  JSON.stringify(new URL(`../../../src/${path}`, import.meta.url).href);

/** A process in which `serveWith` runs `start`, as the program would. */
function program(start: string, flags: Record<string, string> = {}): string {
  return `
    import { serveWith } from ${moduleOf('cli/commands/serve.js')};
    import { describeError, endingOf, endWith, exitCodeOf } from ${moduleOf('cli/exit.js')};
    const style = { shapes: '3.6', program: 'etcdkit' };
    const given = new Map(Object.entries(${JSON.stringify({ name: 'm', ...flags })}));
    const call = { operands: [], flags: { timeout: 0 }, given, environment: {}, style };
    const start = async (config, context) => {
      const alive = setInterval(() => {}, 1000);
      ${start}
    };
    try {
      await serveWith(start, call);
      endWith(0);
    } catch (error) {
      process.stderr.write(describeError(error, style));
      process.exit(exitCodeOf(endingOf(error), style, error));
    }`;
}

const STOPS = `return {
  urls: ['http://127.0.0.1:4001', 'http://[::1]:4002', 'unix:///run/e.sock'],
  done: new Promise(() => {}),
  stop: async (graceMs) => {
    context.log.info({ graceMs }, 'asked to stop');
    clearInterval(alive);
  },
};`;

interface Running {
  child: ChildProcess;
  lines: () => Record<string, unknown>[];
  until: (message: string) => Promise<void>;
  text: () => string;
}

function run(t: TestContext, script: string): Running {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  let text = '';
  child.stderr!.setEncoding('utf8').on('data', (part: string) => (text += part));
  const lines = (): Record<string, unknown>[] =>
    text
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const until = async (message: string): Promise<void> => {
    while (!lines().some((line) => line['msg'] === message)) await once(child.stderr!, 'data');
  };
  return { child, lines, until, text: () => text };
}

test('the lines that operators and scripts wait for, then a stop within the time given', async (t) => {
  const { child, lines, until } = run(t, program(STOPS, { 'shutdown-timeout': '3s' }));
  await until('ready to serve client requests');
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'close'), [0, null]);
  const messages = lines().map((line) => line['msg']);
  assert.deepEqual(messages, [
    "'data-dir' was empty; using default",
    'starting an etcd server',
    'ready to serve client requests',
    ...Array<string>(3).fill('serving client traffic insecurely; this is strongly discouraged!'),
    'received signal; shutting down',
    'asked to stop',
    'closed etcd server',
  ]);
  const addresses = lines().filter((line) => 'address' in line);
  assert.deepEqual(
    addresses.map((line) => line['address']),
    ['127.0.0.1:4001', '[::1]:4002', '/run/e.sock'],
  );
  assert.equal(lines().find((line) => line['msg'] === 'asked to stop')?.['graceMs'], 3000);
  assert.equal(lines().find((line) => 'signal' in line)?.['signal'], 'terminated');
});

test('a second signal ends the process at once', async (t) => {
  const never = STOPS.replace('clearInterval(alive)', 'await new Promise(() => {})');
  const { child, until } = run(t, program(never));
  await until('ready to serve client requests');
  child.kill('SIGINT');
  await until('asked to stop');
  child.kill('SIGINT');
  assert.deepEqual(await once(child, 'close'), [130, null]);
});

test('a server that has to stop ends the program as a failure', async (t) => {
  const fails = `
    const { ToolError } = await import(${moduleOf('errors.js')});
    clearInterval(alive);
    const done = Promise.reject(new ToolError('io.failed', 'fsync failed'));
    return { urls: [], done, stop: async () => {} };`;
  const { child, text } = run(t, program(fails));
  assert.deepEqual(await once(child, 'close'), [1, null]);
  assert.match(text(), /^Error: fsync failed$/m);
});

test('a signal during the start reaches it', async (t) => {
  const waits = `
    context.log.info({}, 'starting');
    await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
    clearInterval(alive);
    context.signal.throwIfAborted();`;
  const { child, until } = run(t, program(waits));
  await until('starting');
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'close'), [130, null]);
});
