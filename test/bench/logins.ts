/**
 * `node dist/test/bench/logins.js [LOGINS] [COST]`: how long logins take, and what they cost everybody else: the delay
 * of the event loop while all of them wait for bcrypt at once, beside that of a loop with nothing to do. Then what
 * the check of a JWT takes: of one that is seen for the first time, and of one that is known.
 */
import { cpus } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { JWT_ALGORITHMS } from '../../src/server/auth/jwt-options.ts';
import { JwtTokens } from '../../src/server/auth/jwt-tokens.ts';
import { Passwords } from '../../src/server/auth/passwords.ts';
import { keysOf, signedByNode } from '../server/auth/keys.ts';

const [logins = 50, cost = 10] = process.argv.slice(2).map(Number);
const say = (text: string): boolean => process.stdout.write(`${text}\n`);
const ms = (nanoseconds: number): string => `${(nanoseconds / 1e6).toFixed(1)} ms`;

/** The monitor's own period is taken off by nobody: an idle loop shows it. */
async function delayDuring(what: string, work: () => Promise<unknown>): Promise<void> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const began = performance.now();
  delay.enable();
  await work();
  delay.disable();
  const took = performance.now() - began;
  const figures = `p50 ${ms(delay.percentile(50))}, p99 ${ms(delay.percentile(99))}, max ${ms(delay.max)}`;
  say(`${what}: ${took.toFixed(0)} ms; event loop ${figures}`);
}

async function measureLogins(): Promise<void> {
  const passwords = new Passwords();
  const hash = await passwords.hash('password', cost, { username: 'root' });
  const login = (number: number): Promise<boolean> =>
    passwords.matches('password', hash, { username: `user-${number % 10}` });
  await login(0);
  await delayDuring('idle', () => sleep(3000));
  await delayDuring(`${logins} logins at cost ${cost}`, () =>
    Promise.all(Array.from({ length: logins }, (_, number) => login(number))),
  );
  await passwords.close();
}

const TOKENS = 500;

async function measureChecks(): Promise<void> {
  for (const algorithm of JWT_ALGORITHMS) {
    const tokens = new JwtTokens({ algorithm, keys: keysOf(algorithm), ttlMs: 1000, nowMs: Date.now });
    const signed = Array.from({ length: TOKENS }, (_, revision) =>
      signedByNode({ algorithm, claims: { username: 'alice', revision } }),
    );
    const began = performance.now();
    for (const token of signed) await tokens.infoOf(token);
    const between = performance.now();
    for (const token of signed) void tokens.infoOf(token);
    const end = performance.now();
    const [first, again] = [between - began, end - between].map((took) =>
      ((took / TOKENS) * 1000).toFixed(1),
    );
    say(`${algorithm}: ${first} µs at first, ${again} µs when known`);
  }
}

say(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`);
const alive = setInterval(() => {}, 1000);
await measureLogins();
clearInterval(alive);
await measureChecks();
