// Real etcdctl does the same with the server under test as with real etcd 3.6: every command's output, exit code
// and error text, with ids, durations and sizes of files left out. 3.6 in full; 3.5 and 3.7 what a smoke needs.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { verify } from '../../src/check/verify.ts';
import { scratch } from '../support/scratch.ts';
import { ask, BUILT_VERSIONS, etcdctl, getAll, skipReason } from './etcd.ts';
import { SCRIPTS } from './etcdctl-scripts.ts';
import { differentLines, transcript } from './etcdctl-transcript.ts';
import { isOurs, isSoak, startBoth, subjectSkip } from './subject.ts';

const DIFFERENCES_SHOWN = 6;

for (const version of BUILT_VERSIONS) {
  const skip = subjectSkip || skipReason(version);
  for (const [name, script] of Object.entries(SCRIPTS)) {
    if (version !== '3.6' && !script.isSmoke && !isSoak) continue;
    test(`etcdctl ${version} sees no difference: ${name}`, { skip, timeout: 180_000 }, async (t) => {
      const folder = scratch(t);
      const options = { args: script.serverArgs ?? [] };
      const { real, subject } = await startBoth(t, folder, options);
      const [theirs, ours] = await Promise.all(
        [real, subject].map((server, side) =>
          transcript(version, server, script, join(folder, `files-${side}`)),
        ),
      );
      const different = differentLines(theirs!, ours!);
      assert.deepEqual(different.slice(0, DIFFERENCES_SHOWN), [], `${different.length} commands differ`);
      if (name === 'snapshot') {
        const report = await verify(join(folder, 'files-1', 'saved.db'));
        assert.ok(report.verdict.startsWith('GOOD'), JSON.stringify(report.findings));
      }
    });
  }
}

test(
  'etcdctl 3.6 mirrors the server under test into real etcd',
  { skip: subjectSkip, timeout: 60_000 },
  async (t) => {
    const folder = scratch(t);
    const { real, subject } = await startBoth(t, folder);
    for (const key of ['m/1', 'm/2', 'n']) await ask(subject, ['put', key, `value of ${key}`]);
    const control = new AbortController();
    t.after(() => control.abort());
    const mirroring = etcdctl('3.6', ['make-mirror', real.endpoint, '--prefix=m/'], {
      endpoint: subject.endpoint,
      interrupt: control.signal,
      timeoutMs: 50_000,
    });
    const texts = async (): Promise<string[]> =>
      (await getAll(real)).kvs.map(({ key, value }) => `${key.toString()}=${value.toString()}`);
    const until = async (expected: readonly string[]): Promise<void> => {
      const deadline = Date.now() + 15_000;
      while ((await texts()).join() !== expected.join() && Date.now() < deadline) await delay(100);
      assert.deepEqual(await texts(), expected);
    };
    await until(['m/1=value of m/1', 'm/2=value of m/2']);
    await ask(subject, ['put', 'm/3', 'later']);
    await ask(subject, ['del', 'm/1']);
    await until(['m/2=value of m/2', 'm/3=later']);
    control.abort();
    await mirroring;
  },
);

test(
  'adding a member is refused in words that say why',
  {
    skip: subjectSkip || (!isOurs && 'real etcd would wait for the new member'),
  },
  async (t) => {
    const { subject } = await startBoth(t, scratch(t));
    const args = ['member', 'add', 'second', '--peer-urls=http://127.0.0.1:1'];
    const { code, stderr } = await etcdctl('3.6', args, { endpoint: subject.endpoint });
    assert.notEqual(code, 0);
    assert.match(stderr, /one member/);
    assert.match((await ask(subject, ['member', 'list'])).stdout, /^[^\n]+\n$/);
  },
);

test(
  'etcdctl 3.6 checks performance and data scale',
  {
    skip: subjectSkip || (!isSoak && 'only in the soak: it takes minutes'),
    timeout: 600_000,
  },
  async (t) => {
    const { subject } = await startBoth(t, scratch(t));
    for (const args of [
      ['check', 'perf', '--load=s'],
      ['check', 'datascale', '--load=s'],
    ]) {
      const { code, stdout, stderr } = await etcdctl('3.6', args, {
        endpoint: subject.endpoint,
        timeoutMs: 280_000,
      });
      assert.equal(code, 0, `${stdout}${stderr}`);
    }
  },
);
