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

export class Leases {
  readonly #backend: Backend;
  readonly #keys: KeyValues;
  readonly #leases = new Map<bigint, Lease>();

  /** Reads all rows, and follows from then on which keys are attached. Throws `CorruptError`. */
  constructor(backend: Backend, keys: KeyValues) {
    this.#backend = backend;
    this.#keys = keys;
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

  /** Keys (`latin1`) that are attached, in byte order. */
  keysOf(id: bigint): string[] {
    return [...(this.#leases.get(id)?.keys ?? [])].sort(ascending);
  }

  grant({ id, ttl }: LeaseGrantRequest): void {
    if (id === 0n) throw rejected('requested lease not found');
    if (ttl > TTL_MAX) throw rejected('too large lease TTL');
    if (this.#leases.has(id)) throw rejected('lease already exists');
    const lease = { ttl: Math.max(Number(ttl), TTL_MIN), remainingTtl: 0, keys: new Set<string>() };
    this.#leases.set(id, lease);
    this.#write(id, lease);
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
  }

  /** `isStored`: since cluster version 3.6 what is left of a lease outlives a restart. */
  checkpoint({ checkpoints }: LeaseCheckpointRequest, { isStored }: { isStored: boolean }): void {
    for (const { id, remainingTtl } of checkpoints) {
      const lease = this.#leases.get(id);
      if (!lease) continue;
      lease.remainingTtl = Number(remainingTtl);
      if (isStored) this.#write(id, lease);
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
