/** What every service is given: the applied state, who this member is, and the one way to change something. */
import type { Input } from '../format/proto/field.ts';
import type { ResponseHeader } from '../format/proto/kvpb.ts';
import type { ConfChange } from '../format/proto/raftpb.ts';
import type { InternalRaftRequest } from '../format/proto/rpcpb.ts';
import type { Applier, Outcome } from '../store/apply/applier.ts';
import type { DurableBackend } from '../store/backend/backend.ts';
import type { KeyValues } from '../store/mvcc/key-values.ts';
import type { Log } from './log.ts';

export type { Log };

export interface Identity {
  memberId: bigint;
  clusterId: bigint;
  name: string;
}

/** What became of a request, and the store's revision right after it. */
export interface Applied extends Outcome {
  revision: number;
  /** Of its entry. */
  index: number;
  /** Of a compaction: resolves when nothing is left of it. */
  compacted?: Promise<void>;
}

export interface Core {
  readonly applier: Applier;
  readonly keys: KeyValues;
  readonly backend: DurableBackend;
  readonly identity: Identity;
  readonly term: number;
  /** Last entry whose effect is in the state. */
  readonly appliedIndex: number;
  /** Last entry that is durable. */
  readonly committedIndex: number;
  /** A mount, where nothing can be changed. */
  readonly isReadOnly: boolean;
  /** The disk had no room for the database when that was last written. */
  readonly isDiskFull?: boolean;
  readonly log: Log;
  /** With the revision of the store, or the one given. */
  header(revision?: number): ResponseHeader;
  /** Durable and applied when it resolves; the header says who asks. Throws `RpcError` with etcd's status and text for a rejection. */
  propose(request: Input<InternalRaftRequest>): Promise<Applied>;
  /** The same for a change of the membership. */
  proposeChange(change: Input<ConfChange>): Promise<Applied>;
}
