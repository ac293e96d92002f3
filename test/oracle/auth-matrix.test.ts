// Who may do what: everybody's every request on real etcd 3.6 and on the server under test, line by line; what
// changes of users and roles do to open streams and to tokens; and that wrong lines in our gate are noticed.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { scratch } from '../support/scratch.ts';
import { assertSameLines, authLines, CHEAP_LOGINS, firstDifference, isDenial } from './auth-lines.ts';
import { AUTH_MUTANTS } from './auth-mutants.ts';
import { runTool, startEtcd, succeeded } from './etcd.ts';
import { compiledText, mutantProgram, mutated } from './mutants.ts';
import { startServer } from './server.ts';
import { endAfter, isOurs, isSoak, startBoth, subjectSkip as skip } from './subject.ts';

/** Far fewer than there are: fewer would mean that the run did not come to its end. */
const CELLS_MIN = 4000;
const DENIALS_SHARE_MIN = 0.4;
const EFFECTS_MIN = 400;

/** A dozen of the people, among whom each line of the gate matters to somebody. */
const SOME_PEOPLE = [
  'root',
  'without-roles',
  'several-roles',
  'holds-b-user',
  'writes-k-user',
  'from-c-user',
  'with-a-gap-user',
  'up-to-c-user',
  'read-then-write-user',
  'holds-leases-user',
  'nobody',
  'stale-token',
  'user-deleted',
];
const SOME = [`--people=${SOME_PEOPLE.join(',')}`];

/** Tokens of both kinds: a simple one goes with the user, a signed one also with the revision it was made at. */
const KINDS: Record<string, (folder: string) => readonly string[]> = {
  simple: () => [],
  jwt: (folder) => {
    const key = join(folder, 'key');
    writeFileSync(key, randomBytes(48).toString('base64'));
    return [`--auth-token=jwt,priv-key=${key},sign-method=HS256,ttl=10m`];
  },
};

test('every part of the program has a test', { skip }, async () => {
  const { stdout } = await succeeded(runTool('3.6', 'authmatrix', ['list']));
  assert.deepEqual(JSON.parse(stdout), ['cells', 'effects', 'leases', 'renew', 'tokens']);
});

for (const [kind, flagsIn] of Object.entries(KINDS)) {
  test(`everybody may do what etcd lets them do: ${kind} tokens`, { skip, timeout: 300_000 }, async (t) => {
    const folder = scratch(t);
    const args = [CHEAP_LOGINS, ...flagsIn(folder)];
    const { real, subject } = await startBoth(t, folder, { args });
    const rows = { args: kind === 'simple' || isSoak ? [] : SOME };
    const [theirs, ours] = await Promise.all([
      authLines('cells', real, rows),
      authLines('cells', subject, rows),
    ]);
    const denials = theirs.filter(isDenial).length;
    t.diagnostic(`${theirs.length} cells, ${((100 * denials) / theirs.length).toFixed(1)} % denials`);
    assert.ok(theirs.length >= CELLS_MIN, `only ${theirs.length} cells`);
    assert.ok(
      denials >= DENIALS_SHARE_MIN * theirs.length,
      `only ${denials} of ${theirs.length} are denials`,
    );
    assertSameLines(theirs, ours);
  });

  test(`changes take effect as in etcd: ${kind} tokens`, { skip, timeout: 120_000 }, async (t) => {
    const folder = scratch(t);
    const args = [CHEAP_LOGINS, ...flagsIn(folder)];
    const { real, subject } = await startBoth(t, folder, { args });
    const [theirs, ours] = await Promise.all([authLines('effects', real), authLines('effects', subject)]);
    assert.ok(theirs.length >= EFFECTS_MIN, `only ${theirs.length} lines`);
    assertSameLines(theirs, ours);
  });

  test(`leases end while authentication is on: ${kind} tokens`, { skip, timeout: 60_000 }, async (t) => {
    const folder = scratch(t);
    const args = [CHEAP_LOGINS, ...flagsIn(folder)];
    const { real, subject } = await startBoth(t, folder, { args });
    const [theirs, ours] = await Promise.all([authLines('leases', real), authLines('leases', subject)]);
    assert.equal(theirs.at(-1), 'root | leases left | 0');
    assertSameLines(theirs, ours);
  });
}

test('each mutant changes one place of what is compiled', () => {
  for (const mutant of AUTH_MUTANTS) mutated(compiledText(mutant), mutant);
});

/** What real etcd says in a part, with tokens of a kind. */
async function recordedLines(
  t: TestContext,
  folder: string,
  { part, args }: { part: 'cells' | 'effects'; args: readonly string[] },
): Promise<string[]> {
  const real = await startEtcd('3.6', { dataDir: folder, args });
  endAfter(t, () => real);
  const lines = await authLines(part, real, { args: part === 'cells' ? SOME : [] });
  await real.stop();
  return lines;
}

test(
  'each wrong line in our access control is noticed',
  { skip: skip || (!isOurs && 'the mutants are of our server'), timeout: 600_000 },
  async (t) => {
    const folder = scratch(t);
    const recorded = new Map<string, string[]>();
    const unnoticed: string[] = [];
    for (const [number, mutant] of AUTH_MUTANTS.entries()) {
      const { name, part = 'cells', tokens = 'jwt' } = mutant;
      const args = [CHEAP_LOGINS, ...KINDS[tokens]!(folder)];
      const run = `${part} ${tokens}`;
      const theirs = recorded.get(run) ?? (await recordedLines(t, join(folder, run), { part, args }));
      recorded.set(run, theirs);
      const home = join(folder, `mutant-${number}`);
      const server = await startServer(mutantProgram(home, mutant), { dataDir: join(home, 'data'), args });
      endAfter(t, () => server);
      const found = await firstDifference(theirs, server, { part, args: part === 'cells' ? SOME : [] });
      await server.kill();
      t.diagnostic(`${name}: ${JSON.stringify(found)}`);
      if (found === undefined) unnoticed.push(name);
    }
    assert.deepEqual(unnoticed, []);
  },
);
