import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { after, before, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { ToolError } from '../../../src/errors.ts';
import { RpcError, STATUS } from '../../../src/rpc/status.ts';
import { Passwords, type PasswordsOptions } from '../../../src/server/auth/passwords.ts';
import { projectRoot } from '../../support/project.ts';
import { FakeClock } from '../fake-clock.ts';

const CALL = { username: 'alice' };
const LONGEST = '0123456789ab'.repeat(6);

/** Made by x/crypto 0.58.0. */
const GO_HASHES: Record<string, string> = {
  '': '$2a$04$vbMGWTJwaVOh3HdY.pTaF.VR5BfBGjIWquyFRe9vdb6NNZcEeTMbO',
  a: '$2a$04$ZZUVSkud.LSKS0EK5QwSVelHbshG4yNYpOjNr4AR3oBudLuxdvD6u',
  pass: '$2a$04$Sv6k3ZPywVDQ/zUk6OWi5.L3yfTLz.VoZfX2XP55G244SlyqI1iCi',
  'пароль-ключ': '$2a$04$caSoM/zwf2Ey70.CN96fSOJ7hJd6uIeWEzM7eoeBFJWCbwaH4yt2e',
  '\0': '$2a$04$g/yyNBd55xrwQQcwsSpVfOPnWVXpsEXzqnbMuha9tMIF3iqQKEa62',
  'a\0b': '$2a$04$PXJWnXlVHtDspdJeqijteOSKXkgDDLZ.JM8YY6GK.r7D9ufpx.Qoi',
  '🔑🔑': '$2a$04$dJ9Rra73kaNO92zbpF/DsOwTsjlbaW8Hd0ERHfhbVcGe1pYMuT8ya',
  [LONGEST]: '$2a$04$Ipufd3uJt79K7gIIWQVrl.Mgb7RkNMR2APmBDyJSE47RXv5EIlzm.',
  ['é'.repeat(36)]: '$2a$04$qOtw9yNS6Eb.rrX2OpCDwO1U7Ugqnz8RU.S3G5c7oRaaPtXoSzDBm',
  root: '$2a$10$P9Vw7FdqypifeN47Rn5IYeckZPhDl1YL5B6nEbqDfnfgfwTZNM/te',
};

/** The thread keeps no process alive: something else has to, as a server's listeners do. */
let alive: NodeJS.Timeout;
before(() => {
  alive = setInterval(() => {}, 1000);
});
after(() => clearInterval(alive));

interface Bench {
  passwords: Passwords;
  workers: Worker[];
}

function bench(options: PasswordsOptions = {}): Bench {
  const workers: Worker[] = [];
  const passwords = new Passwords({
    startWorker() {
      const worker = new Worker(workerFile('dist/src/server/auth'), { execArgv: [] });
      workers.push(worker);
      return worker;
    },
    ...options,
  });
  return { passwords, workers };
}

const workerFile = (folder: string): URL => pathToFileURL(join(projectRoot(), folder, 'password-worker.js'));

const isTooMany = (error: unknown): boolean =>
  error instanceof RpcError &&
  error.status === STATUS.resourceExhausted &&
  error.message === 'etcdserver: too many requests';

/** A call of a user, and what gives it up. */
function endable(username: string): { call: { username: string; signal: AbortSignal }; end(): void } {
  const controller = new AbortController();
  return { call: { username, signal: controller.signal }, end: () => controller.abort() };
}

test('hashes made by Go', async () => {
  const passwords = new Passwords();
  for (const [password, hash] of Object.entries(GO_HASHES)) {
    assert.equal(await passwords.matches(password, hash, CALL), true, password);
    assert.equal(await passwords.matches(password, Buffer.from(hash), CALL), true, password);
    assert.equal(await passwords.matches(`${password.slice(0, -1)}?`, hash, CALL), false, password);
  }
  assert.deepEqual(passwords.stats, { pending: 0, refused: 0, failed: 0 });
  await passwords.close();
});

test('a hash of ours is one of Go’s form, with a salt of its own', async () => {
  const { passwords } = bench();
  const [first, second] = [await passwords.hash('pass', 4, CALL), await passwords.hash('pass', 4, CALL)];
  for (const hash of [first, second]) {
    assert.match(hash, /^\$2a\$04\$[./A-Za-z0-9]{53}$/);
    assert.equal(await passwords.matches('pass', hash, CALL), true);
    assert.equal(await passwords.matches('Pass', hash, CALL), false);
  }
  assert.notEqual(first, second);
  assert.match(await passwords.hash('pass', 3, CALL), /^\$2a\$10\$/, 'a cost that there is not');
  await passwords.close();
});

test('more than 72 bytes: no hash, and no match', async () => {
  const { passwords, workers } = bench();
  for (const password of [`${LONGEST}c`, 'é'.repeat(37), 'x'.repeat(1 << 20)]) {
    await assert.rejects(
      passwords.hash(password, 4, CALL),
      (error) => error instanceof ToolError && error.message === 'bcrypt: password length exceeds 72 bytes',
    );
    assert.equal(await passwords.matches(password, GO_HASHES[LONGEST]!, CALL), false);
  }
  assert.equal(workers.length, 0, 'no thread is started for it');
  await passwords.close();
});

test('what is no hash matches nothing', async () => {
  const { passwords, workers } = bench();
  for (const hash of [
    '',
    '$2a$',
    '$2a$04$short',
    '\0'.repeat(60),
    '$2a$99$'.padEnd(60, '.'),
    'x'.repeat(1 << 20),
  ])
    assert.equal(await passwords.matches('', hash, CALL), false);
  assert.equal(workers.length, 0);
  await passwords.close();
});

test('more than may wait are refused, and more of one user sooner', async () => {
  const { passwords } = bench({ pendingMax: 4, pendingPerUserMax: 2 });
  const hash = (username: string): Promise<string> => passwords.hash('pass', 4, { username });
  const admitted = [hash('a'), hash('a')];
  await assert.rejects(hash('a'), isTooMany);
  admitted.push(hash('b'), hash('c'));
  await assert.rejects(hash('d'), isTooMany);
  assert.deepEqual(passwords.stats, { pending: 4, refused: 2, failed: 0 });
  await Promise.all(admitted);
  assert.equal(passwords.stats.pending, 0);
  assert.equal((await hash('a')).length, 60, 'there is room again');
  await passwords.close();
});

test('an eighth is for one user; users take turns, and who has most makes room', async () => {
  const { passwords } = bench({ pendingMax: 32 });
  const done: string[] = [];
  const hash = (username: string): Promise<unknown> =>
    passwords.hash('pass', 4, { username }).then(
      () => done.push(username),
      (error) => assert.ok(isTooMany(error)),
    );
  const jobs = 'abcdefghi'.split('').flatMap((name) => Array.from({ length: 5 }, () => hash(name)));
  assert.equal(passwords.stats.pending, 32);
  jobs.push(hash('z'));
  assert.deepEqual([passwords.stats.pending, passwords.stats.refused], [32, 14]);
  await Promise.all(jobs);
  assert.equal(done.length, 32);
  assert.ok(done.includes('z') && done.indexOf('z') < 12, `z was served as number ${done.indexOf('z')}`);
  await passwords.close();
});

test('a call that is given up leaves the queue', async () => {
  const { passwords } = bench();
  const running = passwords.hash('pass', 8, CALL);
  const { call, end } = endable('bob');
  const waiting = passwords.hash('pass', 31, call);
  assert.equal(passwords.stats.pending, 2);
  end();
  await assert.rejects(waiting, (error) => error instanceof RpcError && error.status === STATUS.cancelled);
  assert.equal(passwords.stats.pending, 1);
  await assert.rejects(passwords.hash('pass', 4, call), { message: 'etcdserver: request canceled' });
  assert.equal((await running).length, 60);
  assert.deepEqual(passwords.stats, { pending: 0, refused: 0, failed: 0 });
  await passwords.close();
});

test('a job that runs on for nobody counts, and does not hold up the others for long', async () => {
  const clock = new FakeClock();
  const { passwords, workers } = bench({ clock, pendingMax: 2 });
  const { call, end } = endable('bob');
  const endless = passwords.hash('pass', 31, call);
  end();
  await assert.rejects(endless, { message: 'etcdserver: request canceled' });
  const next = passwords.hash('pass', 4, CALL);
  assert.equal(passwords.stats.pending, 2);
  await assert.rejects(passwords.hash('pass', 4, CALL), isTooMany);
  await clock.advance(2000);
  assert.equal((await next).length, 60);
  assert.equal(workers.length, 2);
  assert.equal(passwords.stats.pending, 0);
  await passwords.close();
});

test('a thread that dies fails its job, and the next one is done by another', async () => {
  const { passwords, workers } = bench();
  const lost = passwords.hash('pass', 31, CALL);
  const next = passwords.hash('pass', 4, CALL);
  await workers[0]!.terminate();
  await assert.rejects(lost, (error) => error instanceof RpcError && error.status === STATUS.unavailable);
  assert.equal((await next).length, 60);
  assert.deepEqual(passwords.stats, { pending: 0, refused: 0, failed: 1 });
  await workers[1]!.terminate();
  assert.equal((await passwords.hash('pass', 4, CALL)).length, 60, 'one that died idle');
  assert.deepEqual([workers.length, passwords.stats.failed], [3, 1]);
  await passwords.close();
});

test('a thread that cannot start fails each job, and does not hang', async () => {
  const absent = bench({ startWorker: () => new Worker(workerFile('dist/absent')) });
  const broken = bench({
    startWorker() {
      throw new ToolError('unexpected', 'no more threads');
    },
  });
  for (const { passwords } of [absent, broken]) {
    const jobs = [passwords.hash('a', 4, CALL), passwords.hash('b', 4, CALL)];
    const outcomes = await Promise.allSettled(jobs);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    assert.deepEqual(passwords.stats, { pending: 0, refused: 0, failed: 2 });
    await passwords.close();
  }
});

test('the event loop goes on while a hash is made', async () => {
  const { passwords } = bench();
  await passwords.hash('pass', 4, CALL);
  let turnCount = 0;
  const turns = setInterval(() => turnCount++, 1);
  await passwords.hash('pass', 10, CALL);
  clearInterval(turns);
  assert.ok(turnCount >= 3, `${turnCount} turns`);
  await passwords.close();
});

test('the thread keeps no process alive, and starts whatever options the process has', () => {
  const source = pathToFileURL(join(projectRoot(), 'dist/src/server/auth/passwords.js')).href;
  const script = `
    const { Passwords } = await import('${source}');
    const alive = setInterval(() => {}, 1000);
    console.log(await new Passwords().hash('pass', 4, { username: 'alice' }));
    clearInterval(alive);`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^\$2a\$04\$/);
});

test('closing fails what waits and runs, and what comes later', async () => {
  const { passwords, workers } = bench();
  const jobs = Promise.allSettled([passwords.hash('a', 31, CALL), passwords.hash('b', 4, CALL)]);
  const ended = new Promise((resolve) => workers[0]!.once('exit', resolve));
  await passwords.close();
  await ended;
  const later = [passwords.hash('c', 4, CALL), passwords.matches('', GO_HASHES['']!, CALL)];
  for (const outcome of [...(await jobs), ...(await Promise.allSettled(later))]) {
    assert.equal(outcome.status, 'rejected');
    assert.ok(outcome.reason instanceof ToolError && outcome.reason.code === 'server.stopped');
  }
  assert.equal(passwords.stats.pending, 0);
  await passwords.close();
});

test('the thread of the bundle answers', async () => {
  const file = workerFile('dist/bundle');
  assert.ok(existsSync(file), 'node build.mjs makes it');
  const { passwords } = bench({ startWorker: () => new Worker(file, { execArgv: [] }) });
  assert.equal(await passwords.matches('pass', await passwords.hash('pass', 4, CALL), CALL), true);
  await passwords.close();
});
