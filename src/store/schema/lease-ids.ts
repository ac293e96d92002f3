/** The lease ids of bucket `lease`, packed: eight bytes a lease, in the order of the file, which is ascending. */

/** A column of numbers that grows by doubling. */
class Column {
  data = new Uint32Array(1024);

  set(at: number, value: number): void {
    if (at === this.data.length) {
      const grown = new Uint32Array(this.data.length * 2);
      grown.set(this.data);
      this.data = grown;
    }
    this.data[at] = value;
  }
}

export class LeaseIdSet {
  count = 0;
  readonly #low = new Column();
  readonly #high = new Column();

  add(low: number, high: number): void {
    const at = this.count++;
    this.#low.set(at, low);
    this.#high.set(at, high);
  }

  has(low: number, high: number): boolean {
    let from = 0;
    let to = this.count - 1;
    while (from <= to) {
      const middle = (from + to) >>> 1;
      const order = this.#high.data[middle]! - high || this.#low.data[middle]! - low;
      if (order === 0) return true;
      if (order < 0) from = middle + 1;
      else to = middle - 1;
    }
    return false;
  }
}
