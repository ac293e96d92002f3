/**
 * What the entries of a log say about the cluster itself: versions, downgrades, members, and requests of the v2
 * API, which newer servers cannot read. Everything else passes unnoticed. etcd v3.6 server/etcdserver/apply_v2.go.
 */
import { parseId } from '../format/ids.ts';
import { attributesOf, decodeObject } from '../format/proto/member-json.ts';
import { type ConfChange, confChange, ENTRY_TYPE } from '../format/proto/raftpb.ts';
import { requestOf } from '../format/proto/request.ts';
import type { InternalRaftRequest } from '../format/proto/rpcpb.ts';
import type { V2Request } from '../format/proto/v2pb.ts';
import type { LogEvent } from '../format/wal/log.ts';

/** One entry that is about the cluster. */
export type ClusterEvent = { index: number } & (
  | { kind: 'version'; version: string }
  | { kind: 'downgrade'; targetVersion: string; isEnabled: boolean }
  | { kind: 'attributes'; id: bigint; name: string; clientUrls: string[] }
  | { kind: 'change'; change: ConfChange }
  /** Made for tests of etcd: an entry that only servers of this version and later may read. */
  | { kind: 'version-test'; version: string }
);

export const VERSION_PATH = '/0/version';
/** Not anchored: neither is etcd's. */
export const ATTRIBUTES_PATH = /\/0\/members\/([0-9A-Fa-f]{1,16})\/attributes/;

export class ClusterLog {
  events: ClusterEvent[] = [];
  /** Entries that are v2 requests, ascending. */
  v2Indexes: number[] = [];
  /** Those of them that 3.6 and later panic on: all but the two kinds that 3.5 itself writes. */
  customIndexes: number[] = [];
  /** `PUT /1/key` of the first of them. */
  firstCustom: string | undefined;
  /** Term of the entry asked for, when the log has it. */
  termAtIndex: number | undefined;
  readonly #index: number | undefined;

  /** `index` is the entry whose term is wanted. */
  constructor(index?: number) {
    this.#index = index;
  }

  /** Takes the next event of the log. Throws `proto.malformed` for an entry that no server could read. */
  add(event: LogEvent): void {
    if (event.kind === 'truncate') this.#truncate(event.index);
    else if (event.kind === 'entry') this.#entry(event);
  }

  #truncate(from: number): void {
    const isKept = (index: number): boolean => index < from;
    this.events = this.events.filter(({ index }) => isKept(index));
    this.v2Indexes = this.v2Indexes.filter(isKept);
    this.customIndexes = this.customIndexes.filter(isKept);
    if (this.customIndexes.length === 0) this.firstCustom = undefined;
    if (this.#index !== undefined && this.#index >= from) this.termAtIndex = undefined;
  }

  #entry({ index, term, type, data, at }: LogEvent & { kind: 'entry' }): void {
    if (index === this.#index) this.termAtIndex = term;
    if (type === ENTRY_TYPE.confChange) {
      const { context, ...change } = confChange.decode(data, at);
      this.events.push({
        index,
        kind: 'change',
        change: context ? { ...change, context: context.slice() } : change,
      });
    } else if (type === ENTRY_TYPE.normal) {
      const request = requestOf(data, at);
      if (request.kind === 'v2') this.#v2(index, request.request);
      else if (request.kind === 'v3') this.#v3(index, request.request);
    }
  }

  #v3(index: number, request: InternalRaftRequest): void {
    const { clusterVersionSet, clusterMemberAttrSet, downgradeInfoSet, downgradeVersionTest } = request;
    if (clusterVersionSet) this.events.push({ index, kind: 'version', version: clusterVersionSet.ver });
    else if (downgradeInfoSet) {
      const { enabled, ver } = downgradeInfoSet;
      this.events.push({ index, kind: 'downgrade', targetVersion: enabled ? ver : '', isEnabled: enabled });
    } else if (clusterMemberAttrSet) {
      const { memberId, memberAttributes } = clusterMemberAttrSet;
      const { name = '', clientUrls = [] } = memberAttributes ?? {};
      this.events.push({ index, kind: 'attributes', id: memberId, name, clientUrls });
    } else if (downgradeVersionTest)
      this.events.push({ index, kind: 'version-test', version: downgradeVersionTest.ver });
  }

  #v2(index: number, request: V2Request): void {
    this.v2Indexes.push(index);
    if (isCustomRequest(request)) {
      this.firstCustom ??= `${request.method} ${request.path}`;
      this.customIndexes.push(index);
    } else if (request.path === VERSION_PATH)
      this.events.push({ index, kind: 'version', version: request.val });
    else {
      const id = parseId(ATTRIBUTES_PATH.exec(request.path)![1]!.toLowerCase());
      const attributes = attributesOf(decodeObject(request.val, {}), {});
      if (id !== undefined) this.events.push({ index, kind: 'attributes', id, ...attributes });
    }
  }
}

/** Whether a server since 3.6 would panic on it: it turns only two kinds into requests of its own. */
export function isCustomRequest({ method, path }: V2Request): boolean {
  return method !== 'PUT' || !(path === VERSION_PATH || ATTRIBUTES_PATH.test(path));
}
