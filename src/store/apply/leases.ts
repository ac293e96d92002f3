/** Leases: rows of bucket `lease`, and which keys hang on each. etcd v3.6 server/lease/lessor.go; time is not its business. */
import { ascending } from '../../bytes/order.ts';
import { lease as leaseMessage } from '../../format/proto/leasepb.ts';
import type { LeaseCheckpointRequest, LeaseGrantRequest } from '../../format/proto/rpcpb.ts';
import type { Backend } from '../backend/backend.ts';
import type { KeyValues } from '../mvcc/key-values.ts';
import { rejected } from './rejected.ts';

/** In seconds: one and a half of the default election timeout of a second. */
const TTL_MIN = 2;
const TTL_MAX = 9_000_000_000n;

interface Lease {
  ttl: number;
  remainingTtl: number;
  /** Keys (`latin1`). */
  keys: Set<string>;
}

/** What can be said of a lease without a clock; seconds. */
export interface LeaseState {
  /** As granted. */
  ttl: number;
  /** What was left at the last checkpoint; 0 when there was none since it was granted or renewed. */
  remainingTtl: number;
  keyCount: number;
}

export class Leases {
  /** Told of leases after they have changed. */
  onGrant: ((id: bigint, ttl: number) => void) | undefined;
  onRevoke: ((id: bigint) => void) | undefined;
  onCheckpoint: ((id: bigint, remainingTtl: number) => void) | undefined;
  readonly #backend: Backend;
  readonly #keys: KeyValues;
  readonly #ttlMin: number;
  readonly #leases = new Map<bigint, Lease>();

  /** Reads all rows, and follows from then on which keys are attached. Throws `CorruptError`. */
  constructor(backend: Backend, keys: KeyValues, { leaseTtlMin = TTL_MIN }: { leaseTtlMin?: number } = {}) {
    this.#backend = backend;
    this.#keys = keys;
    this.#ttlMin = leaseTtlMin;
    for (const { value } of backend.scan('lease')) {
      const { id, ttl, remainingTtl } = leaseMessage.decode(value);
      this.#leases.set(id, { ttl, remainingTtl, keys: new Set() });
    }
    for (const [key, lease] of keys.leased()) this.#leases.get(lease)?.keys.add(key);
    keys.onLease = (key, from, to) => {
      this.#leases.get(from)?.keys.delete(key);
      this.#leases.get(to)?.keys.add(key);
    };
  }

  has(id: bigint): boolean {
    return this.#leases.has(id);
  }

  /** All ids, in the order of their rows. */
  list(): bigint[] {
    return [...this.#leases.keys()].sort((a, b) => ascending(BigInt.asUintN(64, a), BigInt.asUintN(64, b)));
  }

  get(id: bigint): LeaseState | undefined {
    const lease = this.#leases.get(id);
    return lease && { ttl: lease.ttl, remainingTtl: lease.remainingTtl, keyCount: lease.keys.size };
  }

  /** Keys (`latin1`) that are attached, in byte order. */
  keysOf(id: bigint): string[] {
    return [...(this.#leases.get(id)?.keys ?? [])].sort(ascending);
  }

  /** Gives what it was granted. */
  grant({ id, ttl }: LeaseGrantRequest): { id: bigint; ttl: bigint } {
    if (id === 0n) throw rejected('requested lease not found');
    if (ttl > TTL_MAX) throw rejected('too large lease TTL');
    if (this.#leases.has(id)) throw rejected('lease already exists');
    const lease = { ttl: Math.max(Number(ttl), this.#ttlMin), remainingTtl: 0, keys: new Set<string>() };
    this.#leases.set(id, lease);
    this.#write(id, lease);
    this.onGrant?.(id, lease.ttl);
    return { id, ttl: BigInt(lease.ttl) };
  }

  /** Deletes what hangs on it, as one revision. */
  revoke(id: bigint): void {
    if (!this.#leases.has(id)) throw rejected('requested lease not found');
    const names = this.keysOf(id);
    this.#keys.change((change) => {
      for (const name of names) change.delete({ key: Buffer.from(name, 'latin1'), end: undefined });
    });
    this.#leases.delete(id);
    this.#backend.delete('lease', rowKey(id));
    this.onRevoke?.(id);
  }

  /** `isStored`: since cluster version 3.6 what is left of a lease outlives a restart. */
  checkpoint({ checkpoints }: LeaseCheckpointRequest, { isStored }: { isStored: boolean }): void {
    for (const { id, remainingTtl } of checkpoints) {
      const lease = this.#leases.get(id);
      if (!lease) continue;
      lease.remainingTtl = Number(remainingTtl);
      if (isStored) this.#write(id, lease);
      this.onCheckpoint?.(id, lease.remainingTtl);
    }
  }

  #write(id: bigint, { ttl, remainingTtl }: Lease): void {
    this.#backend.put('lease', rowKey(id), leaseMessage.encode({ id, ttl, remainingTtl }));
  }
}

function rowKey(id: bigint): Uint8Array {
  const key = Buffer.alloc(8);
  key.writeBigInt64BE(id);
  return key;
}
