/**
 * What a member puts into the log by itself when it starts: who it is, which version the cluster has, who leaves.
 * Encoded as the version does that is to read it: up to 3.5 attributes and versions are requests of the v2 API.
 * etcd v3.6 server/etcdserver/server.go (publishV3), cluster_util.go; v3.5 server.go (publish).
 */
import { formatId } from '../../format/ids.ts';
import { stringifyJson } from '../../format/proto/json-ids.ts';
import { encodeMember, type Member } from '../../format/proto/member-json.ts';
import { CONF_CHANGE_TYPE, confChange, ENTRY_TYPE, type HardState } from '../../format/proto/raftpb.ts';
import { internalRaftRequest } from '../../format/proto/rpcpb.ts';
import { v2Request } from '../../format/proto/v2pb.ts';
import type { EntryInput } from '../../format/wal/frames.ts';
import { VERSION_PATH } from '../../store/cluster-log.ts';
import { compareVersions, type Version } from '../../store/schema/buckets.ts';
import { zerosOf } from '../../store/snap-file.ts';
import type { Applier } from '../../store/apply/applier.ts';
import type { RequestIds } from './request-ids.ts';

/** Everything of an entry but its place. */
export type EntryBody = Pick<EntryInput, 'type' | 'data'>;

/** With which a leader begins its term. */
export const NO_OP: EntryBody = { type: ENTRY_TYPE.normal };

/** Makes the bodies of one member's entries. */
export class OwnEntries {
  readonly #version: Version;
  readonly #ids: RequestIds;

  constructor(version: Version, ids: RequestIds) {
    this.#version = version;
    this.#ids = ids;
  }

  /** The member's name and where clients find it. */
  attributes({ id, name, clientUrls }: Pick<Member, 'id' | 'name' | 'clientUrls'>): EntryBody {
    if (this.#isV2) {
      const val = stringifyJson({
        name: name || undefined,
        clientURLs: clientUrls.length > 0 ? [...clientUrls] : undefined,
      });
      return this.#v2Put(`/0/members/${formatId(id)}/attributes`, val);
    }
    return this.#request({ clusterMemberAttrSet: { memberId: id, memberAttributes: { name, clientUrls } } });
  }

  /** The cluster's version, `3.6.0`. */
  clusterVersion(version: string): EntryBody {
    if (this.#isV2) return this.#v2Put(VERSION_PATH, version);
    return this.#request({ clusterVersionSet: { ver: version } });
  }

  joining(member: Member): EntryBody {
    const context = encodeMember(member);
    return this.#change({ type: CONF_CHANGE_TYPE.addNode, nodeId: member.id, context });
  }

  leaving(id: bigint): EntryBody {
    return this.#change({ type: CONF_CHANGE_TYPE.removeNode, nodeId: id });
  }

  get #isV2(): boolean {
    return compareVersions(this.#version, '3.6') < 0;
  }

  #change(change: Parameters<typeof confChange.encode>[0]): EntryBody {
    return {
      type: ENTRY_TYPE.confChange,
      data: confChange.encode(change, { zeros: zerosOf(this.#version) }),
    };
  }

  #request(request: Parameters<typeof internalRaftRequest.encode>[0]): EntryBody {
    const header = { id: this.#ids.next() };
    return { type: ENTRY_TYPE.normal, data: internalRaftRequest.encode({ header, ...request }) };
  }

  #v2Put(path: string, val: string): EntryBody {
    const request = { id: this.#ids.next(), method: 'PUT', path, val };
    return { type: ENTRY_TYPE.normal, data: v2Request.encode(request, { zeros: 'write' }) };
  }
}

/** Entries behind `after`, with the state in which they are committed. */
export interface OwnBatch {
  entries: EntryInput[];
  state?: HardState;
}

/** Gives bodies their places. Without a vote the batch has no state. */
export function batchOf(
  bodies: readonly EntryBody[],
  { term, after, vote }: { term: number; after: number; vote?: bigint },
): OwnBatch {
  const entries = bodies.map((body, i) => ({ ...body, term, index: after + 1 + i }));
  return {
    entries,
    ...(vote === undefined ? {} : { state: { term, vote, commit: after + entries.length } }),
  };
}

/** Applies them, once they are durable in the log. */
export function applyOwn(applier: Applier, batches: readonly OwnBatch[]): void {
  for (const { entries } of batches)
    for (const entry of entries) applier.apply({ ...entry, data: entry.data ?? NOTHING });
}

const NOTHING = new Uint8Array();
