/** What every service is given: the applied state, who this member is, and the one way to change something. */
import type { Input } from '../format/proto/field.ts';
import type { ResponseHeader } from '../format/proto/kvpb.ts';
import type { ConfChange } from '../format/proto/raftpb.ts';
import type { InternalRaftRequest } from '../format/proto/rpcpb.ts';
import type { Applier, Outcome } from '../store/apply/applier.ts';
import type { DurableBackend } from '../store/backend/backend.ts';
import type { KeyValues } from '../store/mvcc/key-values.ts';

/** Takes what operators may have to know; texts are etcd's where they search for them. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Who answers. */
export interface Identity {
  memberId: bigint;
  clusterId: bigint;
  name: string;
}

export interface Core {
  readonly applier: Applier;
  readonly keys: KeyValues;
  readonly backend: DurableBackend;
  readonly identity: Identity;
  readonly term: number;
  readonly appliedIndex: number;
  readonly committedIndex: number;
  readonly log: Log;
  /** Whether every change is refused, as over a mounted backup. */
  readonly isReadOnly: boolean;
  /** Of a response that is made now. */
  header(): ResponseHeader;
  /** Resolves when it is durable and applied. Throws `RpcError` when it was rejected, with etcd's status and text. */
  propose(request: Input<InternalRaftRequest>): Promise<Outcome>;
  /** The same for a change of the membership; its `id` is filled in. */
  proposeChange(change: Input<ConfChange>): Promise<Outcome>;
}
