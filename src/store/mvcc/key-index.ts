/**
 * The keys that are alive, each with its newest record, in columns: 32 bytes, the key and its place in a map. The
 * order of keys is only kept once it was asked for.
 */
import { SortedKeys } from './sorted-keys.ts';

/** A live key's newest record. */
export interface LiveKey {
  /** The revision it has. */
  main: number;
  sub: number;
  createRevision: number;
  version: number;
  /** 0 when it has none. */
  lease: bigint;
}

const FIRST_CAPACITY = 1024;

export class KeyIndex {
  /** Column index by key (`latin1`). */
  readonly #ids = new Map<string, number>();
  readonly #unused: number[] = [];
  #count = 0;
  #mains = new Float64Array(FIRST_CAPACITY);
  #creates = new Float64Array(FIRST_CAPACITY);
  #subs = new Uint32Array(FIRST_CAPACITY);
  #versions = new Uint32Array(FIRST_CAPACITY);
  #leases = new BigInt64Array(FIRST_CAPACITY);
  #sorted: SortedKeys | undefined;

  get size(): number {
    return this.#ids.size;
  }

  get(key: string): LiveKey | undefined {
    const id = this.#ids.get(key);
    if (id === undefined) return undefined;
    return {
      main: this.#mains[id]!,
      sub: this.#subs[id]!,
      createRevision: this.#creates[id]!,
      version: this.#versions[id]!,
      lease: this.#leases[id]!,
    };
  }

  set(key: string, live: LiveKey): void {
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.#unused.pop() ?? this.#count++;
      if (id === this.#mains.length) this.#grow();
      this.#ids.set(key, id);
      this.#sorted?.add(key);
    }
    this.#mains[id] = live.main;
    this.#subs[id] = live.sub;
    this.#creates[id] = live.createRevision;
    this.#versions[id] = live.version;
    this.#leases[id] = live.lease;
  }

  delete(key: string): void {
    const id = this.#ids.get(key);
    if (id === undefined) return;
    this.#ids.delete(key);
    this.#unused.push(id);
    this.#sorted?.delete(key);
  }

  #grow(): void {
    const grown = <A extends Float64Array | Uint32Array | BigInt64Array>(old: A): A => {
      const next = new (old.constructor as new (length: number) => A)(old.length * 2);
      (next as Float64Array).set(old as Float64Array);
      return next;
    };
    this.#mains = grown(this.#mains);
    this.#creates = grown(this.#creates);
    this.#subs = grown(this.#subs);
    this.#versions = grown(this.#versions);
    this.#leases = grown(this.#leases);
  }

  /** Live keys from `from` on, below `to` if it is given, in byte order. */
  range(from: string, to?: string): string[] {
    this.#sorted ??= new SortedKeys(this.#ids.keys());
    return [...this.#sorted.range(from, to)];
  }

  /** Each live key that has a lease. */
  *leased(): Generator<[key: string, lease: bigint], void> {
    for (const [key, id] of this.#ids) if (this.#leases[id] !== 0n) yield [key, this.#leases[id]!];
  }
}
