// Users, roles and logins through real clients: etcdctl of each version, clientv3 whose token goes stale, and one
// directory with authentication on that is passed between real etcd and the server under test.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../support/scratch.ts';
import { assertSameLines, authLines, CHEAP_LOGINS } from './auth-lines.ts';
import { BUILT_VERSIONS, skipReason } from './etcd.ts';
import { AUTH_SCRIPTS } from './etcdctl-auth-scripts.ts';
import { differentLines, transcript } from './etcdctl-transcript.ts';
import { startBoth, subjectSkip } from './subject.ts';

const DIFFERENCES_SHOWN = 6;

for (const version of BUILT_VERSIONS) {
  const skip = subjectSkip || skipReason(version);
  for (const [name, script] of Object.entries(AUTH_SCRIPTS)) {
    test(
      `etcdctl ${version} sees no difference in access control: ${name}`,
      { skip, timeout: 180_000 },
      async (t) => {
        const folder = scratch(t);
        const { real, subject } = await startBoth(t, folder, { args: script.serverArgs ?? [] });
        const [theirs, ours] = await Promise.all(
          [real, subject].map((server, side) =>
            transcript(version, server, script, join(folder, `files-${side}`)),
          ),
        );
        const different = differentLines(theirs!, ours!);
        assert.deepEqual(different.slice(0, DIFFERENCES_SHOWN), [], `${different.length} commands differ`);
      },
    );
  }
}

/** Tokens that live for a few seconds, and how long that is. */
const SHORT_LIVED: Record<string, (folder: string) => { flags: readonly string[]; ttl: string }> = {
  simple: () => ({ flags: ['--auth-token-ttl=1'], ttl: '1s' }),
  jwt: (folder) => {
    const key = join(folder, 'key');
    writeFileSync(key, randomBytes(48).toString('base64'));
    return { flags: [`--auth-token=jwt,priv-key=${key},sign-method=HS256,ttl=3s`], ttl: '3s' };
  },
};

for (const [kind, settingsIn] of Object.entries(SHORT_LIVED)) {
  test(
    `clientv3 renews a token that is stale or over: ${kind}`,
    { skip: subjectSkip, timeout: 90_000 },
    async (t) => {
      const folder = scratch(t);
      const { flags, ttl } = settingsIn(folder);
      const { real, subject } = await startBoth(t, folder, { args: [CHEAP_LOGINS, ...flags] });
      const args = [`--token-ttl=${ttl}`];
      const [theirs, ours] = await Promise.all([
        authLines('renew', real, { args }),
        authLines('renew', subject, { args }),
      ]);
      assert.ok(theirs.includes("ann | after the token's time: put | OK"), theirs.join('\n'));
      assert.ok(theirs.includes('ann | after a change of users: put | OK'), theirs.join('\n'));
      assertSameLines(theirs, ours);
    },
  );
}
