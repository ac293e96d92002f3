/**
 * What etcdctl says to a script of commands, as lines by which two servers can be compared: ids, ports, durations
 * and dates have the same name on each.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ask, etcdctl, parseEtcdJson } from './etcd.ts';
import type { EtcdServer, ToolResult, Version } from './etcd.ts';
import type { Script, Step } from './etcdctl-scripts.ts';

/** One command with its answer. */
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

/** Plays a script on a server; `folder` is made, and is `{folder}` in arguments. */
export async function transcript(
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

/** Where two transcripts of one script differ. */
export function differentLines(
  real: readonly Line[],
  subject: readonly Line[],
): { real: Line; subject: Line | undefined }[] {
  return real.flatMap((line, at) =>
    JSON.stringify(line) === JSON.stringify(subject[at]) ? [] : [{ real: line, subject: subject[at] }],
  );
}
