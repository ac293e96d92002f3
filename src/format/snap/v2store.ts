/**
 * The v2 store as a `.snap` file carries it: JSON with the membership and the cluster version, and in very
 * old clusters user data. 3.4 and 3.5 recover members from it; 3.6 and 3.7 write it but start without it.
 * etcd v3.6 server/etcdserver/api/v2store, membership/storev2.go, cluster_util.go.
 */
import { CorruptError, type Where } from '../../errors.ts';
import { formatId, parseId } from '../ids.ts';
import type { JsonInput, JsonObject, JsonValue } from '../proto/json-ids.ts';
import { parseJson, stringifyJson } from '../proto/json-ids.ts';
import { attributesOf, decodeObject, isObject, type Member, raftAttributesOf } from '../proto/member-json.ts';

/** What the store says. */
export interface V2Store {
  members: Member[];
  removedMembers: bigint[];
  /** `3.6.0`; absent until the cluster has agreed on one. */
  clusterVersion?: string;
}

/** What a decoded store holds besides. */
export interface DecodedV2Store extends V2Store {
  /** Paths of content that 3.6 and later refuse to start with; at most a few. */
  customPaths: string[];
  currentIndex: number;
}

/**
 * Whose bytes to write: `live`, a store kept since the start (3.4, 3.5); `rebuilt`, one made for this file
 * (3.6, 3.7). They differ in one counter.
 */
export type V2StoreStyle = 'live' | 'rebuilt';

const PATHS_SHOWN = 10;
const PERMANENT = '0001-01-01T00:00:00Z';
const HISTORY_CAPACITY = 1000;

/** Reads the payload of a raft snapshot. Throws `snap.malformed`. */
export function decodeV2Store(bytes: Uint8Array, where: Where = {}): DecodedV2Store {
  try {
    return storeOf(parseJson(bytes, where), where);
  } catch (error) {
    if (!(error instanceof CorruptError) || error.code === 'snap.malformed') throw error;
    throw new CorruptError('snap.malformed', `v2 store: ${error.message}`, {
      where: error.where ?? where,
      cause: error,
    });
  }
}

/**
 * Whether a store holds what 3.6 and later refuse to start with. What is absent or does not decode is not
 * judged here: false.
 */
export function hasCustomContent(bytes: Uint8Array | undefined): boolean {
  if (bytes === undefined) return false;
  try {
    return decodeV2Store(bytes).customPaths.length > 0;
  } catch (error) {
    if (error instanceof CorruptError) return false;
    throw error;
  }
}

function storeOf(value: JsonValue, where: Where): DecodedV2Store {
  const root = isObject(value) ? value['Root'] : undefined;
  if (!isObject(value) || !isObject(root)) throw malformed('there is no Root', where);
  const cluster = childOf(root, '0');
  const version = childOf(cluster, 'version')?.['Value'];
  const currentIndex = value['CurrentIndex'];
  return {
    members: entriesOf(childOf(cluster, 'members')).map(([id, node]) => memberOf(id, node, where)),
    removedMembers: entriesOf(childOf(cluster, 'removed_members')).map(([id]) => idOf(id, where)),
    ...(typeof version === 'string' ? { clusterVersion: version } : {}),
    customPaths: customPaths(root),
    currentIndex: typeof currentIndex === 'number' ? currentIndex : 0,
  };
}

function childOf(node: JsonObject | undefined, name: string): JsonObject | undefined {
  const children = node?.['Children'];
  const child = isObject(children) ? children[name] : undefined;
  return isObject(child) ? child : undefined;
}

function entriesOf(node: JsonObject | undefined): [name: string, node: JsonObject][] {
  const children = node?.['Children'];
  if (!isObject(children)) return [];
  return Object.entries(children).filter((entry): entry is [string, JsonObject] => isObject(entry[1]));
}

function malformed(message: string, where: Where): CorruptError {
  return new CorruptError('snap.malformed', `v2 store: ${message}`, { where });
}

function idOf(text: string, where: Where): bigint {
  const id = parseId(text);
  if (id === undefined) throw malformed(`${JSON.stringify(text)} is no member id`, where);
  return id;
}

function memberOf(id: string, node: JsonObject, where: Where): Member {
  const raft = childOf(node, 'raftAttributes')?.['Value'];
  if (typeof raft !== 'string') throw malformed(`member ${id} has no raftAttributes`, where);
  const published = childOf(node, 'attributes')?.['Value'];
  return {
    id: idOf(id, where),
    ...raftAttributesOf(decodeObject(raft, where), where),
    ...attributesOf(typeof published === 'string' ? decodeObject(published, where) : {}, where),
  };
}

/**
 * What 3.6 takes for custom content: children of any top directory but `/0`, and grandchildren of `/2` (old
 * v2 auth). Names that begin with `_` are hidden from it.
 */
function customPaths(root: JsonObject): string[] {
  const found: string[] = [];
  for (const [top, node] of visible(root)) {
    if (top === '0') continue;
    for (const [name, child] of visible(node)) {
      if (found.length === PATHS_SHOWN) return found;
      if (top !== '2' || visible(child).length > 0) found.push(`/${top}/${name}`);
    }
  }
  return found;
}

function visible(node: JsonObject): [name: string, node: JsonObject][] {
  return entriesOf(node).filter(([name]) => !name.startsWith('_'));
}

interface Node {
  path: string;
  index: number;
  value: string;
  /** null in a leaf. */
  children: Map<string, Node> | null;
}

/** The writes that make up a store, replayed: each gets the next index. */
class Replay {
  readonly root: Node = directory('/', 0);
  readonly events: JsonInput[] = [];
  creates = 0;
  sets = 0;

  constructor() {
    this.root.children!.set('0', directory('/0', 0)).set('1', directory('/1', 0));
  }

  get index(): number {
    return this.events.length;
  }

  create(path: string, value: string): void {
    this.creates++;
    this.#write('create', path, value);
  }

  set(path: string, value: string): void {
    this.sets++;
    this.#write('set', path, value);
  }

  #write(action: string, path: string, value: string): void {
    const index = this.index + 1;
    const names = path.split('/').slice(1);
    let node = this.root;
    for (const [i, name] of names.entries()) {
      const at = `/${names.slice(0, i + 1).join('/')}`;
      const isLeaf = i === names.length - 1;
      const child =
        node.children!.get(name) ??
        (isLeaf ? { path: at, index, value, children: null } : directory(at, index));
      node.children!.set(name, child);
      node = child;
    }
    this.events.push({ action, node: { key: path, value, modifiedIndex: index, createdIndex: index } });
  }
}

function directory(path: string, index: number): Node {
  return { path, index, value: '', children: new Map() };
}

/**
 * The bytes etcd would write after these members joined in the order given. Go's rebuilt stores have the
 * members in random order; any is right.
 */
export function encodeV2Store(store: V2Store, options: { style: V2StoreStyle }): Uint8Array {
  const replay = new Replay();
  for (const member of store.members) {
    const path = `/0/members/${formatId(member.id)}`;
    const { peerUrls, isLearner, name, clientUrls } = member;
    replay.create(
      `${path}/raftAttributes`,
      stringifyJson({ peerURLs: peerUrls.length > 0 ? peerUrls : null, isLearner: isLearner || undefined }),
    );
    if (clientUrls.length === 0) continue;
    replay.set(`${path}/attributes`, stringifyJson({ name: name || undefined, clientURLs: clientUrls }));
  }
  for (const id of store.removedMembers) replay.create(`/0/removed_members/${formatId(id)}`, '');
  if (store.clusterVersion !== undefined) replay.set('/0/version', store.clusterVersion);
  return new TextEncoder().encode(stringifyJson(storeJson(replay, options.style)));
}

function storeJson(replay: Replay, style: V2StoreStyle): JsonInput {
  return {
    Root: nodeJson(replay.root),
    WatcherHub: { EventHistory: historyJson(replay.events) },
    CurrentIndex: replay.index,
    Stats: {
      getsSuccess: 0,
      getsFail: style === 'rebuilt' ? 1 : 0,
      setsSuccess: replay.sets,
      setsFail: 0,
      deleteSuccess: 0,
      deleteFail: 0,
      updateSuccess: 0,
      updateFail: 0,
      createSuccess: replay.creates,
      createFail: 0,
      compareAndSwapSuccess: 0,
      compareAndSwapFail: 0,
      compareAndDeleteSuccess: 0,
      compareAndDeleteFail: 0,
      expireCount: 0,
      watchers: 0,
    },
    CurrentVersion: 2,
  };
}

function nodeJson(node: Node): JsonInput {
  const children = node.children && new Map([...node.children].sort(([a], [b]) => (a < b ? -1 : 1)));
  return {
    Path: node.path,
    CreatedIndex: node.index,
    ModifiedIndex: node.index,
    ExpireTime: PERMANENT,
    Value: node.value,
    Children: children && new Map([...children].map(([name, child]) => [name, nodeJson(child)])),
  };
}

/** A ring of the last events; what was never used is null. */
function historyJson(events: readonly JsonInput[]): JsonInput {
  const ring: JsonInput[] = Array.from({ length: HISTORY_CAPACITY }, () => null);
  for (const [i, event] of events.entries()) ring[i % HISTORY_CAPACITY] = event;
  const size = Math.min(events.length, HISTORY_CAPACITY);
  const front = (events.length - size) % HISTORY_CAPACITY;
  return {
    Queue: {
      Events: ring,
      Size: size,
      Front: front,
      Back: events.length % HISTORY_CAPACITY,
      Capacity: HISTORY_CAPACITY,
    },
    StartIndex: events.length === 0 ? 0 : events.length - size + 1,
    LastIndex: events.length,
  };
}
