/** A socket like systemd's is opened by Python, and the real `systemd-notify` sends to it. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { notifySupervisor } from '../../../src/cli/serve/notify.ts';
import { scratch } from '../../support/scratch.ts';

/** Prints what it was told once the sender, which waits for it, has been let go. */
const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(10)
print("bound", flush=True)
told = ""
try:
    while "BARRIER=1" not in told:
        told += s.recv(4096).decode() + "\\n"
        if "READY=1" in told: s.settimeout(2)
except TimeoutError:
    pass
print(told, flush=True)
`;

const runs = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
const missing = ['systemd-notify', 'python3'].filter((program) => !runs(program));
const skip = missing.length > 0 ? `no ${missing.join(' and ')} on this host` : false;

test('a supervisor is told that we are ready, and who we are', { skip }, async (t) => {
  const socket = join(scratch(t), 'notify');
  const receiver = spawn('python3', ['-c', RECEIVER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => receiver.kill());
  let text = '';
  receiver.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  await once(receiver.stdout, 'data');
  const done = once(receiver, 'close');
  assert.equal(await notifySupervisor('READY=1', { ...process.env, NOTIFY_SOCKET: socket }), true);
  await done;
  assert.match(text, /READY=1/);
  assert.match(text, new RegExp(`MAINPID=${process.pid}`));
});

test('without a supervisor nobody is told', async () => {
  assert.equal(await notifySupervisor('READY=1', { PATH: process.env['PATH'] }), false);
});

test('a host without systemd-notify is an error to report', async () => {
  await assert.rejects(
    notifySupervisor('STOPPING=1', { PATH: '/nonexistent', NOTIFY_SOCKET: '/x' }),
    /ENOENT/,
  );
});
