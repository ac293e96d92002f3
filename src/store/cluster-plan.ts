/**
 * A cluster that begins, by a restore or a first start: names and peer URLs as flags give them, the ids that follow from
 * them, and every refusal of etcdutl and etcd, in its order and its words. etcd v3.6 server/config/config.go, client/pkg/types, pkg/netutil.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { UsageError } from '../errors.ts';
import { clusterId, memberId } from '../format/ids.ts';
import type { Member } from '../format/proto/member-json.ts';
import type { ConfState } from '../format/proto/raftpb.ts';
import { parseUrls } from '../format/urls.ts';

export const DEFAULT_NAME = 'default';
export const DEFAULT_CLUSTER = 'default=http://localhost:2380';
export const DEFAULT_TOKEN = 'etcd-cluster';
export const DEFAULT_PEER_URLS = 'http://localhost:2380';

export interface ClusterOptions {
  /** `name=url,name=url,…` */
  initialCluster: string;
  token: string;
  /** The members to write; undefined for all. */
  local: { name: string; peerUrls: string } | undefined;
  /** Names of members that do not vote. */
  learners: readonly string[];
  /** Address of a host name; asked only when URLs differ in text. */
  resolve?: ((host: string) => Promise<string>) | undefined;
}

export interface RestoredCluster {
  id: bigint;
  /** By ascending id. */
  members: Member[];
  /** Those that get a directory. */
  locals: Member[];
}

/** Throws `UsageError` with code `restore.membership`. */
export async function planCluster(options: ClusterOptions): Promise<RestoredCluster> {
  const { local, token, learners } = options;
  const advertised = local && parseList(local.peerUrls.split(','));
  const urls = parseCluster(options.initialCluster);
  if (local && advertised) {
    const own = urls.get(local.name);
    if (!own)
      throw refused(`couldn't find local name ${quote(local.name)} in the initial cluster configuration`);
    await assertAdvertised({ name: local.name, own, advertised }, options.resolve ?? resolveHost);
  }
  assertUnique(urls);
  if (urls.size === 0) throw refused('initial cluster unset and no discovery URL found');
  for (const name of learners) {
    if (!urls.has(name)) throw refused(`learner ${quote(name)} is not in the initial cluster configuration`);
  }

  const members = [...urls].map(([name, peerUrls]): Member => {
    const id = memberId({ peerUrls, token });
    return { id, name, peerUrls, isLearner: learners.includes(name), clientUrls: [] };
  });
  members.sort((a, b) => (a.id < b.id ? -1 : 1));
  if (members.every((member) => member.isLearner))
    throw refused('every member is a learner: at least one must vote');
  const id = clusterId(members.map((member) => member.id));
  return { id, members, locals: local ? members.filter((member) => member.name === local.name) : members };
}

/** What raft believes of these members. */
export function confStateOf(members: readonly Member[]): Pick<ConfState, 'voters' | 'learners'> {
  return {
    voters: members.filter((member) => !member.isLearner).map((member) => member.id),
    learners: members.filter((member) => member.isLearner).map((member) => member.id),
  };
}

const quote = (text: string): string => JSON.stringify(text);
const compareText = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

function refused(message: string): UsageError {
  return new UsageError('restore.membership', message, {
    hint: 'give all of them the same cluster, and each its own name',
  });
}

/** Peer URLs by name, sorted; a name may come more than once. */
function parseCluster(text: string): Map<string, string[]> {
  const given = new Map<string, string[]>();
  for (const part of text.split(',')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = equals < 0 ? part : part.slice(0, equals);
    given.set(name, [...(given.get(name) ?? []), equals < 0 ? '' : part.slice(equals + 1)]);
  }
  return new Map([...given].map(([name, urls]) => [name, parseList(urls)]));
}

const parseList = (texts: readonly string[]): string[] => parseUrls(texts, refused);

function assertUnique(urls: ReadonlyMap<string, string[]>): void {
  const all = [...urls.values()].flat();
  if (new Set(all).size === all.length) return;
  throw refused(`initial cluster ${showCluster(urls)} has duplicate url`);
}

function showCluster(urls: ReadonlyMap<string, string[]>): string {
  const pairs = [...urls].flatMap(([name, list]) => list.map((url) => `${name}=${url}`));
  return pairs.sort(compareText).join(',');
}

interface Advertised {
  name: string;
  /** What the cluster says of it. */
  own: string[];
  /** What it says of itself. */
  advertised: string[];
}

type Resolve = (host: string) => Promise<string>;

async function assertAdvertised({ name, own, advertised }: Advertised, resolve: Resolve): Promise<void> {
  const why = await differenceOf(advertised, own, resolve);
  if (why === undefined) return;
  const missing = [...new Set(own)].filter((url) => !advertised.includes(url));
  const shown = advertised.join(',');
  if (missing.length > 0) {
    const list = missing.map((url) => `${name}=${url}`).join(',');
    throw refused(
      `--initial-cluster has ${list} but missing from --initial-advertise-peer-urls=${shown} (${why})`,
    );
  }
  const cluster = showCluster(new Map([[name, advertised]]));
  const extra = [...new Set(advertised)].filter((url) => !own.includes(url));
  if (extra.length > 0) {
    throw refused(
      `--initial-advertise-peer-urls has ${extra.join(',')} but missing from --initial-cluster=${cluster}`,
    );
  }
  throw refused(`failed to resolve ${shown} to match --initial-cluster=${cluster} (${why})`);
}

/** Why two sorted lists do not name the same addresses. */
async function differenceOf(
  a: readonly string[],
  b: readonly string[],
  resolve: Resolve,
): Promise<string | undefined> {
  const list = (urls: readonly string[]): string => `[${urls.map(quote).join(' ')}]`;
  if (a.length !== b.length) return `len(${list(a)}) != len(${list(b)})`;
  if (a.every((url, i) => url === b[i])) return undefined;
  try {
    const [first, second] = [await resolveAll(a, resolve), await resolveAll(b, resolve)];
    const at = first.findIndex((url, i) => url !== second[i]);
    return at < 0 ? undefined : `resolved urls: ${quote(first[at]!)} != ${quote(second[at]!)}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Differs from etcdutl, which asks again every second for half a minute: here a name is asked for once. */
async function resolveAll(urls: readonly string[], resolve: Resolve): Promise<string[]> {
  const resolved: string[] = [];
  for (const url of urls) {
    const found = /^(https?:\/\/(?:[^/@]*@)?)(?:\[([^\]]*)\]|([^/:]*)):(\d*)(.*)$/s.exec(url);
    const host = found?.[2] ?? found?.[3];
    if (!found || host === undefined || host === 'localhost') {
      resolved.push(url);
      continue;
    }
    let address = host;
    if (isIP(host) === 0) {
      try {
        address = await resolve(host);
      } catch (cause) {
        throw new UsageError(
          'restore.membership',
          `failed to resolve ${quote(url)} (lookup ${host}: no such host)`,
          { cause },
        );
      }
    }
    resolved.push(`${found[1]}${address.includes(':') ? `[${address}]` : address}:${found[4]}${found[5]}`);
  }
  return resolved.sort(compareText);
}

async function resolveHost(host: string): Promise<string> {
  return (await lookup(host)).address;
}
