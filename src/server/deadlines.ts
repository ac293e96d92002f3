/** Ids with a time each, the earliest first: a binary heap that knows where each id stands, so that times can change. */

interface Entry {
  id: bigint;
  at: number;
  /** In the heap. */
  index: number;
}

export class Deadlines {
  readonly #heap: Entry[] = [];
  readonly #entries = new Map<bigint, Entry>();

  get size(): number {
    return this.#heap.length;
  }

  /** The earliest time; undefined when there is none. */
  get next(): number | undefined {
    return this.#heap[0]?.at;
  }

  at(id: bigint): number | undefined {
    return this.#entries.get(id)?.at;
  }

  /** Adds the id, or moves it to another time. */
  set(id: bigint, at: number): void {
    const known = this.#entries.get(id);
    const entry = known ?? { id, at, index: this.#heap.length };
    entry.at = at;
    if (!known) {
      this.#entries.set(id, entry);
      this.#heap.push(entry);
    }
    this.#settle(entry);
  }

  delete(id: bigint): void {
    const entry = this.#entries.get(id);
    if (!entry) return;
    this.#entries.delete(id);
    const last = this.#heap.pop()!;
    if (last === entry) return;
    this.#place(last, entry.index);
    this.#settle(last);
  }

  /** Takes the earliest id out when its time has come by `now`. */
  takeDue(now: number): bigint | undefined {
    const first = this.#heap[0];
    if (!first || first.at > now) return undefined;
    this.delete(first.id);
    return first.id;
  }

  /** All ids, the earliest first; equal times by id. */
  inOrder(): bigint[] {
    return [...this.#heap].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1)).map(({ id }) => id);
  }

  clear(): void {
    this.#heap.length = 0;
    this.#entries.clear();
  }

  #place(entry: Entry, index: number): void {
    this.#heap[index] = entry;
    entry.index = index;
  }

  /** Moves an entry up or down to where its time belongs. */
  #settle(entry: Entry): void {
    while (entry.index > 0) {
      const parent = this.#heap[(entry.index - 1) >>> 1]!;
      if (parent.at <= entry.at) break;
      this.#swap(entry, parent);
    }
    for (;;) {
      const left = this.#heap[2 * entry.index + 1];
      const right = this.#heap[2 * entry.index + 2];
      const child = right && left && right.at < left.at ? right : left;
      if (!child || child.at >= entry.at) return;
      this.#swap(entry, child);
    }
  }

  #swap(a: Entry, b: Entry): void {
    const index = a.index;
    this.#place(a, b.index);
    this.#place(b, index);
  }
}
