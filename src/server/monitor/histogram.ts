/** How often values fell below each of some bounds. Observing allocates nothing. */

/** A cumulative histogram in the making: counts here are of one bucket each. */
export class Histogram {
  /** Upper bounds, ascending; a value equal to one belongs below it. */
  readonly bounds: readonly number[];
  /** Values in each bucket; the last one holds what is above every bound. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    let at = 0;
    while (at < this.bounds.length && value > this.bounds[at]!) at++;
    this.counts[at]!++;
    this.sum += value;
  }

  get count(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }
}

/** `count` bounds from `start` on, each twice the one before: how etcd lays its buckets. */
export function doublingBounds(start: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => start * 2 ** index);
}
