// Signed tokens, with each algorithm: logins, tokens made by hand, servers that can only check tokens, and what the
// flag refuses, on real etcd 3.6 and on the server under test.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../support/scratch.ts';
import { assertSameLines, authLines, CHEAP_LOGINS } from './auth-lines.ts';
import { ALGORITHMS, type Algorithm, makeKeys } from './jwt-forge.ts';
import { handmadeTokens } from './jwt-tokens.ts';
import { etcdProgram, startServer } from './server.ts';
import { isOurs, startBoth, subjectProgram, subjectSkip as skip } from './subject.ts';

/** Of users and roles, after what `authmatrix tokens` makes. */
const REVISION = 11;
const LINES_MIN = 400;
const VERIFIED_ONLY: readonly Algorithm[] = ['RS256', 'PS384', 'ES256', 'EdDSA'];

for (const algorithm of ALGORITHMS) {
  test(`tokens are taken and refused as by etcd: ${algorithm}`, { skip, timeout: 90_000 }, async (t) => {
    const folder = scratch(t);
    const keys = makeKeys(algorithm, folder);
    const files = [
      `priv-key=${keys.privateFile}`,
      ...(keys.publicFile ? [`pub-key=${keys.publicFile}`] : []),
    ];
    const flag = `--auth-token=jwt,${files.join(',')},sign-method=${algorithm},ttl=90s`;
    const { real, subject } = await startBoth(t, folder, { args: [CHEAP_LOGINS, flag] });
    const input = JSON.stringify(handmadeTokens(keys, REVISION, folder));
    const options = { input, args: ['--token-ttl=90s'] };
    const [theirs, ours] = await Promise.all([
      authLines('tokens', real, options),
      authLines('tokens', subject, options),
    ]);
    assert.equal(theirs[0], `anybody | state | revision ${REVISION}`);
    assert.match(theirs[2]!, new RegExp(`"alg":"${algorithm}".* on time true$`));
    assert.ok(theirs.includes('good | put | put'), 'the good token is good');
    assert.ok(theirs.length >= LINES_MIN, `only ${theirs.length} lines`);
    assertSameLines(theirs, ours);
  });
}

for (const algorithm of VERIFIED_ONLY) {
  test(`a server without a private key checks tokens: ${algorithm}`, { skip, timeout: 90_000 }, async (t) => {
    const folder = scratch(t);
    const keys = makeKeys(algorithm, folder);
    const flag = `--auth-token=jwt,pub-key=${keys.publicFile},sign-method=${algorithm}`;
    const { real, subject } = await startBoth(t, folder, { args: [CHEAP_LOGINS, flag] });
    const input = JSON.stringify(handmadeTokens(keys, REVISION, folder));
    const [theirs, ours] = await Promise.all([
      authLines('tokens', real, { input }),
      authLines('tokens', subject, { input }),
    ]);
    assert.match(theirs[1]!, /verify-only key/);
    assert.ok(theirs.includes('good | put | put'), 'the good token is good');
    assertSameLines(theirs, ours);
  });
}

/** Values of the flag; `{name}` is a file of that name. */
const SETTINGS: readonly string[] = [
  'jwt',
  'jwt,sign-method=RS256',
  'jwt,sign-method=HS256',
  'jwt,sign-method=XX256,priv-key={secret}',
  'jwt,sign-method=none,priv-key={secret}',
  'jwt,sign-method=hs256,priv-key={secret}',
  'jwt,sign-method=HS256,pub-key={secret}',
  'jwt,sign-method=HS256,priv-key={secret}',
  'jwt,sign-method=HS256,priv-key={empty}',
  'jwt,sign-method=HS256,priv-key={absent}',
  'jwt,sign-method=HS256,priv-key={secret},pub-key={absent}',
  'jwt,sign-method=HS256,priv-key={secret},ttl=soon',
  'jwt,sign-method=HS256,priv-key={secret},ttl=',
  'jwt,sign-method=HS256,priv-key={secret},ttl=10',
  'jwt,sign-method=HS256,priv-key={secret},ttl=-5m',
  'jwt,sign-method=HS256,priv-key={secret},ttl=1h30m0.5s',
  'jwt,sign-method=HS256,priv-key={secret},colour=blue',
  'jwt,sign-method=HS256,priv-key={secret},colour',
  'jwt,sign-method=HS256,priv-key={secret},',
  'jwt,sign-method=HS256,priv-key={secret},sign-method=HS256',
  'jwt,sign-method=HS256,priv-key={secret}=x',
  'jwt,sign-method=RS256,priv-key={RS256.private},pub-key={RS256.public}',
  'jwt,sign-method=RS256,priv-key={RS256.private},pub-key={PS512.public}',
  'jwt,sign-method=RS256,priv-key={RS256.public}',
  'jwt,sign-method=RS256,pub-key={RS256.private}',
  'jwt,sign-method=PS512,pub-key={PS512.private}',
  'jwt,sign-method=ES256,pub-key={ES256.private}',
  'jwt,sign-method=ES384,pub-key={ES384.private}',
  'jwt,sign-method=EdDSA,pub-key={EdDSA.private}',
  'jwt,sign-method=ES384,pub-key={ES384.public}',
  'jwt,sign-method=PS512,pub-key={PS512.public}',
  'jwt,sign-method=EdDSA,pub-key={EdDSA.public}',
  'jwt,sign-method=RS256,priv-key={secret}',
  'jwt,sign-method=RS256,priv-key={ES256.private}',
  'jwt,sign-method=PS256,priv-key={RS256.private}',
  'jwt,sign-method=ES256,priv-key={ES256.private}',
  'jwt,sign-method=ES256,priv-key={ES256.private},pub-key={ES384.public}',
  'jwt,sign-method=ES256,priv-key={RS256.private}',
  'jwt,sign-method=EdDSA,priv-key={EdDSA.private},pub-key={EdDSA.public}',
  'jwt,sign-method=EdDSA,priv-key={ES256.private}',
  'simple',
  'simple,ttl=5',
  'simple,ttl',
  'other',
  'JWT,sign-method=HS256,priv-key={secret}',
  '=',
];

/** What ours refuses on purpose: every token would be expired from the start. */
const REFUSED_BY_OURS: readonly string[] = ['jwt,sign-method=HS256,priv-key={secret},ttl=-5m'];

test('what the flag says is taken or refused as by etcd', { skip, timeout: 300_000 }, async (t) => {
  const folder = scratch(t);
  for (const algorithm of ['RS256', 'PS512', 'ES256', 'ES384', 'EdDSA'] as const)
    makeKeys(algorithm, folder, algorithm);
  writeFileSync(join(folder, 'secret'), 'a secret of some length, more than anybody guesses');
  writeFileSync(join(folder, 'empty'), '');
  const starts = async (program: typeof real, setting: string, dataDir: string): Promise<boolean> => {
    const args = [`--auth-token=${setting.replaceAll(/\{([\w.]+)\}/g, (_, name) => join(folder, name))}`];
    try {
      const server = await startServer(program, { dataDir, args });
      await server.kill();
      return true;
    } catch (error) {
      assert.match(String(error), /exited before it was healthy/);
      return false;
    }
  };
  const real = etcdProgram('3.6');
  const different: string[] = [];
  let refused = 0;
  for (const [number, setting] of SETTINGS.entries()) {
    const [theirs, ours] = await Promise.all([
      starts(real, setting, join(folder, `real-${number}`)),
      starts(subjectProgram(), setting, join(folder, `subject-${number}`)),
    ]);
    refused += Number(!theirs);
    if (isOurs && REFUSED_BY_OURS.includes(setting)) assert.deepEqual([theirs, ours], [true, false], setting);
    else if (theirs !== ours) different.push(`${setting}: etcd ${theirs ? 'starts' : 'refuses'}`);
  }
  t.diagnostic(`${SETTINGS.length} settings, ${refused} refused by etcd`);
  assert.deepEqual(different, []);
});
