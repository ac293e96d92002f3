/**
 * What the cluster knows of itself: members, versions, downgrades. etcd v3.6 server/etcdserver/api/membership.
 */
import { ascending } from '../../bytes/order.ts';
import { formatId, parseId } from '../../format/ids.ts';
import {
  attributesOf,
  decodeMember,
  decodeMemberChange,
  decodeObject,
  encodeConfState,
  encodeMember,
  type Member,
  type MemberChange,
} from '../../format/proto/member-json.ts';
import type {
  ClusterMemberAttrSetRequest,
  DowngradeInfoSetRequest,
} from '../../format/proto/membershippb.ts';
import { CONF_CHANGE_TYPE, type ConfChange } from '../../format/proto/raftpb.ts';
import type { V2Request } from '../../format/proto/v2pb.ts';
import type { Backend } from '../backend/backend.ts';
import { ATTRIBUTES_PATH, isCustomRequest, VERSION_PATH } from '../cluster-log.ts';
import { CLUSTER_VERSION, DOWNGRADE } from '../schema/buckets.ts';
import { rejected } from './rejected.ts';

/** etcd's default; a server's flag may have raised it, and the log does not say so. */
const LEARNERS_MAX = 1;
const REMOVED = Buffer.from('removed');
const rowKey = (id: bigint): Uint8Array => Buffer.from(formatId(id));

export class Cluster {
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** In the order of their rows. */
  members(): Member[] {
    return [...this.#backend.scan('members')].map(({ value }) => decodeMember(value));
  }

  #member(id: bigint): Member | undefined {
    const value = this.#backend.get('members', rowKey(id));
    return value && decodeMember(value);
  }

  #isRemoved(id: bigint): boolean {
    return this.#backend.get('members_removed', rowKey(id)) !== undefined;
  }

  #write(member: Member): void {
    const { id, peerUrls, isLearner, name, clientUrls } = member;
    this.#backend.put('members', rowKey(id), encodeMember({ id, peerUrls, isLearner, name, clientUrls }));
  }

  /** As stored, `3.6.0`. */
  get version(): string | undefined {
    const value = this.#backend.get('cluster', Buffer.from(CLUSTER_VERSION));
    return value && Buffer.from(value).toString('latin1');
  }

  setVersion(version: string): void {
    this.#backend.put('cluster', Buffer.from(CLUSTER_VERSION), Buffer.from(version));
  }

  setDowngrade({ enabled, ver }: DowngradeInfoSetRequest): void {
    const row = { 'target-version': enabled ? ver : '', enabled };
    this.#backend.put('cluster', Buffer.from(DOWNGRADE), Buffer.from(JSON.stringify(row)));
  }

  /** Of one that was removed nothing is kept. */
  setAttributes({ memberId, memberAttributes }: ClusterMemberAttrSetRequest): void {
    const { name = '', clientUrls = [] } = memberAttributes ?? {};
    const member = this.#member(memberId);
    if (member) this.#write({ ...member, name, clientUrls });
    else if (!this.#isRemoved(memberId)) throw rejected('etcdserver: member not found');
  }

  /** The two requests of the v2 API that servers up to 3.5 write themselves; all others left the database alone. */
  applyV2(request: V2Request): void {
    if (isCustomRequest(request))
      throw rejected('a request of the v2 API, which is not kept in the database');
    if (request.path === VERSION_PATH) {
      this.setVersion(request.val);
      return;
    }
    const memberId = parseId(ATTRIBUTES_PATH.exec(request.path)![1]!.toLowerCase())!;
    this.setAttributes({ memberId, memberAttributes: attributesOf(decodeObject(request.val, {}), {}) });
  }

  /** Throws a rejection for a change that raft carries out as none. */
  applyChange({ type, nodeId, context }: ConfChange): void {
    const change = context && context.length > 0 ? decodeMemberChange(context) : undefined;
    this.#validate(type, nodeId, change);
    const before = this.#member(nodeId);
    if (type === CONF_CHANGE_TYPE.removeNode) {
      this.#backend.delete('members', rowKey(nodeId));
      this.#backend.put('members_removed', rowKey(nodeId), REMOVED);
    } else if (type === CONF_CHANGE_TYPE.updateNode) this.#write({ ...before!, peerUrls: change!.peerUrls });
    else if (change!.isPromote) this.#write({ ...before!, isLearner: false });
    else this.#write(change!);
    this.#storeConfState();
  }

  #validate(type: number, id: bigint, change: MemberChange | undefined): void {
    if (this.#isRemoved(id)) throw rejected('membership: ID removed');
    const isKnown = this.#member(id) !== undefined;
    const isAddition =
      (type === CONF_CHANGE_TYPE.addNode || type === CONF_CHANGE_TYPE.addLearnerNode) && !change?.isPromote;
    if (type !== CONF_CHANGE_TYPE.removeNode && !change) throw rejected('the change names no member');
    if (isAddition && isKnown) throw rejected('membership: ID exists');
    if (!isAddition && !isKnown) throw rejected('membership: ID not found');
    if (change?.isPromote && !this.#member(id)!.isLearner)
      throw rejected('membership: can only promote a learner member');
    if (type === CONF_CHANGE_TYPE.removeNode || change?.isPromote) return;
    const taken = new Set(
      this.members()
        .filter((member) => member.id !== id)
        .flatMap(({ peerUrls }) => peerUrls),
    );
    if (change!.peerUrls.some((url) => taken.has(url))) throw rejected('membership: peerURL exists');
    const isLearner = type === CONF_CHANGE_TYPE.addLearnerNode && change!.isLearner;
    if (isLearner && this.members().filter((member) => member.isLearner).length >= LEARNERS_MAX)
      throw rejected('membership: too many learner members in cluster');
  }

  #storeConfState(): void {
    const idsOf = (isLearner: boolean): bigint[] =>
      this.members()
        .filter((member) => member.isLearner === isLearner)
        .map(({ id }) => id)
        .sort(ascending);
    const state = { voters: idsOf(false), learners: idsOf(true) };
    this.#backend.put('meta', Buffer.from('confState'), encodeConfState(state));
  }
}
