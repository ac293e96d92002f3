// Real etcdctl does the same with the server under test as with real etcd 3.6: every command's output, exit code
// and error text, with ids, durations and sizes of files left out. 3.6 in full; 3.5 and 3.7 what a smoke needs.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { verify } from '../../src/check/verify.ts';
import { scratch } from '../support/scratch.ts';
import { ask, BUILT_VERSIONS, etcdctl, getAll, parseEtcdJson, skipReason } from './etcd.ts';
import type { EtcdServer, ToolResult, Version } from './etcd.ts';
import { SCRIPTS } from './etcdctl-scripts.ts';
import type { Script, Step } from './etcdctl-scripts.ts';
import { isOurs, isSoak, startBoth, subjectSkip } from './subject.ts';

const DIFFERENCES_SHOWN = 6;

interface Line {
  command: string;
  code: number;
  stdout: string;
  stderr: string;
}

/** Names for what a server was given or chose for itself, as texts that may stand in an output. */
async function namesOf(server: EtcdServer, folder: string): Promise<Map<string, string>> {
  const { stdout } = await ask({ ...server, version: '3.6' }, ['member', 'list', '-w', 'json']);
  const answer = parseEtcdJson(stdout) as {
    header: { cluster_id: string };
    members: { ID: string }[];
  };
  const names = new Map([
    [server.endpoint, 'ENDPOINT'],
    [server.endpoint.replace('http://', ''), 'ENDPOINT'],
    [server.peerUrl, 'PEER'],
    [folder, 'FOLDER'],
  ]);
  const ids: [string, string][] = [
    [answer.header.cluster_id, 'CLUSTER'],
    [answer.members[0]!.ID, 'MEMBER'],
  ];
  for (const [id, name] of ids) learn(names, BigInt(id), name);
  return names;
}

/** An id stands in outputs in hexadecimal, at times padded, in decimal, and as a signed number. */
function learn(names: Map<string, string>, id: bigint, name: string): void {
  const hex = id.toString(16);
  for (const text of [hex.padStart(16, '0'), hex, id.toString(), BigInt.asIntN(64, id).toString()])
    names.set(text, name);
}

function masked(text: string, names: ReadonlyMap<string, string>, step: Step): string {
  // The columns of a table are as wide as the ids in them.
  let result = step.args.includes('table') ? text.replaceAll(/ +/g, ' ').replaceAll(/[-─]{3,}/g, '--') : text;
  for (const [found, name] of names) result = result.replaceAll(found, name);
  for (const pattern of step.mask ?? [])
    result = result.replaceAll(
      new RegExp(pattern, pattern.flags.includes('g') ? pattern.flags : `${pattern.flags}g`),
      '…',
    );
  return result
    .replaceAll(/ +(MEMBER|CLUSTER|LEASE)/g, ' $1')
    .replaceAll(/^\{"level":.*\n/gm, '')
    .replaceAll(/\d+(?:\.\d+)?(?:ns|µs|ms|s)\b/g, 'TIME')
    .replaceAll(/\d{4}-\d\d-\d\d[T ][0-9:.]+(?:Z|[+-][\d:]+)?/g, 'DATE')
    .replaceAll(/"raft_term":\d+|"RaftTerm" : \d+/g, 'TERM');
}

/** Runs a command that may go on for ever until it has said enough. */
async function play(version: Version, server: EtcdServer, step: Step, args: string[]): Promise<ToolResult> {
  const control = new AbortController();
  let lines = 0;
  const watch = (): void => {
    lines += 1;
    // A moment more, in which what is too much would show.
    if (lines === step.linesMin) void delay(150).then(() => control.abort());
  };
  return etcdctl(version, args, {
    endpoint: server.endpoint,
    timeoutMs: 30_000,
    ...(step.input === undefined ? {} : { input: step.input }),
    ...(step.linesMin === undefined ? {} : { onLine: watch, interrupt: control.signal }),
  });
}

async function transcript(
  version: Version,
  server: EtcdServer,
  script: Script,
  folder: string,
): Promise<Line[]> {
  mkdirSync(folder, { recursive: true });
  const names = await namesOf(server, folder);
  const captured = new Map([['folder', folder]]);
  const lines: Line[] = [];
  for (const step of script.steps) {
    const args = step.args.map((arg) =>
      arg.replaceAll(/\{(\w+)\}/g, (_, name: string) => captured.get(name) ?? '?'),
    );
    const { code, stdout, stderr } = await play(version, server, step, args);
    if (step.capture) {
      const [, value] = step.capture.pattern.exec(stdout) ?? [];
      assert.ok(value !== undefined, `${server.label}: ${args.join(' ')} says ${stdout}${stderr}`);
      captured.set(step.capture.name, value);
      if (step.capture.name === 'lease') learn(names, BigInt(`0x${value}`), 'LEASE');
    }
    const said = (text: string): string => (step.isCodeOnly ? '' : masked(text, names, step));
    const ended = step.isCodeOnly && step.mask ? 0 : code;
    lines.push({ command: step.args.join(' '), code: ended, stdout: said(stdout), stderr: said(stderr) });
  }
  return lines;
}

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
      const different = theirs!.flatMap((line, at) =>
        JSON.stringify(line) === JSON.stringify(ours![at]) ? [] : [{ real: line, subject: ours![at] }],
      );
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
