/** `--owner`: numbers, or names as the host's passwd and group files have them. */
import { readFileSync } from 'node:fs';
import type { Owner } from '../../../bytes/disk.ts';
import { UsageError } from '../../../errors.ts';

const PASSWD = '/etc/passwd';
const GROUP = '/etc/group';
const ID_MAX = 2 ** 32 - 2;

/** Reads `1000:1000`, `1000`, `etcd:etcd` or `etcd`; a group that is not given is the user's own. */
export function parseOwner(
  text: string,
  files: { passwd: string; group: string } = { passwd: PASSWD, group: GROUP },
): Owner {
  const [user = '', group, ...rest] = text.split(':');
  if (user === '' || group === '' || rest.length > 0) throw unknown(text, 'is neither a name nor uid:gid');
  const row = rowOf(files.passwd, user);
  const uid = numberOf(user) ?? numberOf(row?.[2]);
  if (uid === undefined) throw unknown(text, `names no user of ${files.passwd}`);
  if (group !== undefined) {
    const gid = numberOf(group) ?? numberOf(rowOf(files.group, group)?.[2]);
    if (gid === undefined) throw unknown(text, `names no group of ${files.group}`);
    return { uid, gid };
  }
  const own = numberOf(row?.[3]);
  if (own === undefined) throw unknown(text, `is no user of ${files.passwd}: give the group too, as uid:gid`);
  return { uid, gid: own };
}

function unknown(text: string, why: string): UsageError {
  return new UsageError('usage', `--owner: ${JSON.stringify(text)} ${why}`);
}

function numberOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= ID_MAX ? id : undefined;
}

/** The row of a user or group, by name or by number. */
function rowOf(path: string, wanted: string): string[] | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  const rows = text.split('\n').map((line) => line.split(':'));
  return rows.find(([name]) => name === wanted) ?? rows.find((row) => row[2] === wanted);
}
