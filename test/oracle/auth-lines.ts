/**
 * The lines of `authmatrix`: `who | what | answer`, the same on every run against the same kind of server, so that
 * those of two servers can be laid side by side.
 */
import assert from 'node:assert/strict';
import { runTool, succeeded } from './etcd.ts';
import type { EtcdServer } from './etcd.ts';
import { isOurs } from './subject.ts';

const DIFFERENCES_SHOWN = 12;

/** bcrypt's cheapest, since these tests log in a few thousand times. */
export const CHEAP_LOGINS = '--bcrypt-cost=4';

/** A line that is not the same on both servers. */
export interface Difference {
  /** `who | what`. */
  cell: string;
  real: string | undefined;
  subject: string | undefined;
}

/** Answers of ours that are not etcd's on purpose: the cells, what both say there, and why. */
interface Purpose {
  cell: RegExp;
  real: RegExp;
  subject: RegExp;
  reason: string;
}

const REFUSED = /^(?:CANCELLED: rpc error: code = \w+ desc = |\w+: )etcdserver: /;
const INVALID = /etcdserver: invalid auth token/;

const ON_PURPOSE: readonly Purpose[] = [
  {
    cell: /\| observe [kx]$/,
    real: /^OK the end$/,
    subject: REFUSED,
    reason: 'etcd ends the stream as if all was well, so that its client takes nobody to be leader',
  },
  {
    cell: /\| (?:add a user with a long password|change a password to a long one)$/,
    real: /^Unknown: bcrypt: password length exceeds 72 bytes$/,
    subject: REFUSED,
    reason: 'etcd works on the password of whoever asks; ours asks first who that is, since it takes time',
  },
  {
    cell: /^one-in-the-other-user \| (?:range|watch) \[k\/c k\/a\)$/,
    real: REFUSED,
    subject: /^OK 0 \[\]$|^CANCELLED: mvcc: watcher range is empty/,
    reason: 'of a range that ends before it begins etcd judges by the shape of a tree; there is no key in it',
  },
  {
    cell: /^of a (?:small )?negative revision \|/,
    real: /./,
    subject: INVALID,
    reason: 'in etcd it becomes a revision above all others, or none, as the processor has it',
  },
  {
    cell: /^of a large revision \|/,
    real: /./,
    subject: INVALID,
    reason: 'above 2^53 it would not come through the log as it is',
  },
  {
    cell: /^with (?:nothing that|what) must be understood \|/,
    real: /./,
    subject: INVALID,
    reason: 'RFC 7515 wants such a token refused by who does not understand it; golang-jwt does not look',
  },
  {
    cell: /^with a salt of \d+ bytes \|/,
    real: /./,
    subject: INVALID,
    reason: 'RFC 7518 wants as many bytes as the hash has; golang-jwt takes any number',
  },
  {
    cell: /^only Bearer \|/,
    real: INVALID,
    subject: /etcdserver: user name is empty/,
    reason: 'a header may not end with a blank (RFC 9113), and is left out by the transport where it does',
  },
];

/** What a server says to those who may not: in an answer, or as the reason why a watch ends. */
const DENIAL =
  /permission denied|user name is empty|user name not found|invalid auth token|revision of auth store is old|authentication failed/;

/** How a part of `authmatrix` is run. */
interface LinesOptions {
  /** For the part that reads tokens. */
  input?: string;
  args?: readonly string[];
  timeoutMs?: number;
}

/** What a part of `authmatrix` says of a server. */
export async function authLines(
  part: string,
  server: EtcdServer,
  options: LinesOptions = {},
): Promise<string[]> {
  const { input, args = [], timeoutMs = 280_000 } = options;
  const all = [part, `--endpoint=${server.endpoint}`, `--limit=${timeoutMs - 10_000}ms`, ...args];
  const running = runTool('3.6', 'authmatrix', all, { timeoutMs, ...(input === undefined ? {} : { input }) });
  return (await succeeded(running)).stdout.trimEnd().split('\n');
}

/** Whether a line tells of somebody who was refused. */
export function isDenial(line: string): boolean {
  return DENIAL.test(answerOf(line));
}

const cellOf = (line: string): string => line.split(' | ', 2).join(' | ');
const answerOf = (line: string): string => line.slice(cellOf(line).length + 3);

function isOnPurpose(cell: string, real: string, answer: string | undefined): boolean {
  if (!isOurs || answer === undefined) return false;
  return ON_PURPOSE.some((each) => each.cell.test(cell) && each.real.test(real) && each.subject.test(answer));
}

/** Where two servers differ, and not on purpose. */
export function differencesOf(real: readonly string[], subject: readonly string[]): Difference[] {
  const answers = new Map(subject.map((line) => [cellOf(line), answerOf(line)]));
  const found: Difference[] = [];
  for (const line of real) {
    const cell = cellOf(line);
    const answer = answers.get(cell);
    answers.delete(cell);
    if (answer !== answerOf(line) && !isOnPurpose(cell, answerOf(line), answer))
      found.push({ cell, real: answerOf(line), subject: answer });
  }
  for (const [cell, answer] of answers) found.push({ cell, real: undefined, subject: answer });
  return found;
}

/** Fails with the first few lines that differ. */
export function assertSameLines(real: readonly string[], subject: readonly string[]): void {
  const found = differencesOf(real, subject);
  assert.deepEqual(found.slice(0, DIFFERENCES_SHOWN), [], `${found.length} of ${real.length} answers differ`);
}

/** The first line in which a server differs from lines that were recorded; the run ends there. */
export async function firstDifference(
  recorded: readonly string[],
  server: EtcdServer,
  { part, args }: { part: string; args: readonly string[] },
): Promise<Difference | undefined> {
  const control = new AbortController();
  let count = 0;
  let found: Difference | undefined;
  const onLine = (line: string): void => {
    if (found) return;
    [found] = differencesOf(recorded.slice(count, ++count), [line]);
    if (found) control.abort();
  };
  const all = [part, `--endpoint=${server.endpoint}`, ...args];
  await runTool('3.6', 'authmatrix', all, { timeoutMs: 150_000, onLine, interrupt: control.signal });
  // A wrong gate may hold up root itself, and so end the run.
  return found ?? differencesOf(recorded.slice(count), [])[0];
}
