/**
 * A mount as the services see it: the state of a file at one revision. What is read-only answers every change with one
 * error; over a scratch layer changes are applied at once, without a log, since nothing of them is to last.
 */
import type { Input } from '../../format/proto/field.ts';
import type { ResponseHeader } from '../../format/proto/kvpb.ts';
import { type ConfChange, confChange, ENTRY_TYPE } from '../../format/proto/raftpb.ts';
import { type InternalRaftRequest, internalRaftRequest } from '../../format/proto/rpcpb.ts';
import type { Applier } from '../../store/apply/applier.ts';
import type { KeyValues } from '../../store/mvcc/key-values.ts';
import type { Compactions, RunningCompaction } from '../compactions.ts';
import type { Applied, Core, Identity } from '../core.ts';
import type { Log } from '../log.ts';
import { readOnlyError, rpcErrorOf } from '../rpc-errors.ts';
import type { MountBackend } from './mount-backend.ts';

export interface MountCoreOptions {
  applier: Applier;
  backend: MountBackend;
  identity: Identity;
  term: number;
  log: Log;
  /** Of a mount that takes changes; read-only without it. */
  compactions: Compactions | undefined;
}

export class MountCore implements Core {
  readonly applier: Applier;
  readonly keys: KeyValues;
  readonly backend: MountBackend;
  readonly identity: Identity;
  readonly term: number;
  readonly log: Log;
  readonly #compactions: Compactions | undefined;
  appliedIndex: number;

  constructor({ applier, backend, identity, term, log, compactions }: MountCoreOptions) {
    this.applier = applier;
    this.keys = applier.keys;
    this.backend = backend;
    this.identity = identity;
    this.term = term;
    this.log = log;
    this.#compactions = compactions;
    this.appliedIndex = applier.consistentIndex;
    if (compactions && this.keys.pending) void compactions.run(this.#gated(this.keys.pending));
  }

  get isReadOnly(): boolean {
    return this.#compactions === undefined;
  }

  get committedIndex(): number {
    return this.appliedIndex;
  }

  header(revision = this.keys.revision): ResponseHeader {
    const { clusterId, memberId } = this.identity;
    return { clusterId, memberId, revision, raftTerm: this.term };
  }

  propose(request: Input<InternalRaftRequest>): Promise<Applied> {
    return this.#apply(ENTRY_TYPE.normal, () =>
      internalRaftRequest.encode({ ...request, header: { ...request.header, id: 1n } }),
    );
  }

  proposeChange(change: Input<ConfChange>): Promise<Applied> {
    return this.#apply(ENTRY_TYPE.confChange, () => confChange.encode(change));
  }

  /** Drops nothing while a copy is made. */
  #gated(compaction: RunningCompaction): RunningCompaction {
    const { backend } = this;
    return {
      revision: compaction.revision,
      step: () => backend.isCopying || compaction.step(),
    };
  }

  async #apply(type: number, encode: () => Uint8Array): Promise<Applied> {
    if (!this.#compactions) throw readOnlyError();
    const data = encode();
    while (this.backend.isCopying) await this.backend.settled();
    const index = ++this.appliedIndex;
    const outcome = this.applier.apply({ index, term: this.term, type, data });
    if (outcome.rejection) throw rpcErrorOf(outcome.rejection);
    const applied = { ...outcome, index, revision: this.keys.revision };
    if (!outcome.compaction) return applied;
    return { ...applied, compacted: this.#compactions.run(this.#gated(outcome.compaction)) };
  }
}
