/** A core without a log or a disk: what is proposed is applied in the next turn of the loop, over rows in memory. */
import { MemorySource } from '../../src/bytes/source.ts';
import { ENTRY_TYPE, type ConfChange, confChange } from '../../src/format/proto/raftpb.ts';
import type { Input } from '../../src/format/proto/field.ts';
import type { ResponseHeader } from '../../src/format/proto/kvpb.ts';
import { encodeMember, type Member } from '../../src/format/proto/member-json.ts';
import { type InternalRaftRequest, internalRaftRequest } from '../../src/format/proto/rpcpb.ts';
import type { Applied, Core, Identity, Log } from '../../src/server/core.ts';
import { readOnlyError, rpcErrorOf } from '../../src/server/rpc-errors.ts';
import { Applier } from '../../src/store/apply/applier.ts';
import type { DurableBackend, DurableView } from '../../src/store/backend/backend.ts';
import { Overlay } from '../../src/store/backend/overlay.ts';
import { KeyValues } from '../../src/store/mvcc/key-values.ts';
import { BUCKETS } from '../../src/store/schema/buckets.ts';
import { buildDatabase, MEMBER, metaRows } from '../store/database-builder.ts';

/** Rows in memory, which count what was asked of them. */
export class MemoryBackend extends Overlay implements DurableBackend {
  readonly sizeBytes = 20_480;
  readonly inUseBytes = 16_384;
  readonly pendingCount = 0;
  openViewCount = 0;
  defragCount = 0;
  /** What the next rewrite fails with. */
  defragFailure: unknown;

  constructor() {
    super({ get: () => undefined, scan: () => [] });
  }

  async commit(): Promise<void> {}

  /** The database file that these rows make. */
  file(): Uint8Array {
    const rows = BUCKETS.map((name) => [name, [...this.scan(name)].map(({ key, value }) => [key, value])]);
    return buildDatabase({ buckets: Object.fromEntries(rows) });
  }

  async openView(): Promise<DurableView> {
    this.openViewCount++;
    const source = new MemorySource(this.file(), 'view.db');
    return { source, close: () => void this.openViewCount-- };
  }

  async defrag(): Promise<void> {
    this.defragCount++;
    if (this.defragFailure) throw this.defragFailure;
  }

  async close(): Promise<void> {}
}

export interface MemoryCoreOptions {
  isReadOnly?: boolean;
  /** {@link MEMBER} unless given; the first one is this one. */
  members?: readonly Member[];
  /** As `3.6.0`; none where it is empty. */
  clusterVersion?: string;
}

type Told = [level: keyof Log, message: string];

export class MemoryCore implements Core {
  readonly backend = new MemoryBackend();
  readonly keys: KeyValues;
  readonly applier: Applier;
  readonly identity: Identity;
  readonly term = 3;
  readonly isReadOnly: boolean;
  appliedIndex = 10;
  /** What was proposed and not refused for being read-only, in order. */
  readonly proposals: Array<Input<InternalRaftRequest>> = [];
  readonly changes: Array<Input<ConfChange>> = [];
  readonly told: Told[] = [];
  readonly log: Log = {
    debug: (_fields, message) => void this.told.push(['debug', message]),
    info: (_fields, message) => void this.told.push(['info', message]),
    warn: (_fields, message) => void this.told.push(['warn', message]),
    error: (_fields, message) => void this.told.push(['error', message]),
  };

  constructor({ isReadOnly = false, members = [MEMBER], clusterVersion = '3.6.0' }: MemoryCoreOptions = {}) {
    const put = (bucket: string, key: string, value: Uint8Array): void =>
      this.backend.put(bucket, Buffer.from(key), value);
    for (const [key, value] of metaRows()) this.backend.put('meta', key, value);
    for (const member of members) put('members', member.id.toString(16), encodeMember(member));
    if (clusterVersion !== '') put('cluster', 'clusterVersion', Buffer.from(clusterVersion));
    this.isReadOnly = isReadOnly;
    this.identity = { memberId: members[0]!.id, clusterId: 0xc1n, name: members[0]!.name };
    this.keys = new KeyValues(this.backend);
    this.applier = new Applier(this.backend, this.keys, { hasTerm: true });
  }

  get committedIndex(): number {
    return this.appliedIndex;
  }

  header(revision = this.keys.revision): ResponseHeader {
    const { clusterId, memberId } = this.identity;
    return { clusterId, memberId, revision, raftTerm: this.term };
  }

  async propose(request: Input<InternalRaftRequest>): Promise<Applied> {
    if (this.isReadOnly) throw readOnlyError();
    this.proposals.push(request);
    return this.#apply(internalRaftRequest.encode(request), ENTRY_TYPE.normal);
  }

  async proposeChange(change: Input<ConfChange>): Promise<Applied> {
    if (this.isReadOnly) throw readOnlyError();
    this.changes.push(change);
    return this.#apply(confChange.encode({ id: 77n, ...change }), ENTRY_TYPE.confChange);
  }

  async #apply(data: Uint8Array, type: number): Promise<Applied> {
    await Promise.resolve();
    const outcome = this.applier.apply({ index: ++this.appliedIndex, term: this.term, type, data });
    if (outcome.rejection) throw rpcErrorOf(outcome.rejection);
    return { ...outcome, index: this.appliedIndex, revision: this.keys.revision };
  }
}
