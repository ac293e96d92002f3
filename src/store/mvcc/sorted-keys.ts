/** Keys in byte order, in blocks, so that one more costs little however many there are. Keys are `latin1` texts. */
import { ascending } from '../../bytes/order.ts';

const BLOCK_SIZE = 512;

export class SortedKeys {
  /** None is empty. */
  readonly #blocks: string[][] = [];

  constructor(keys: Iterable<string> = []) {
    const sorted = [...keys].sort(ascending);
    for (let at = 0; at < sorted.length; at += BLOCK_SIZE)
      this.#blocks.push(sorted.slice(at, at + BLOCK_SIZE));
  }

  /** Index of the block in which `key` lies or would lie. */
  #blockOf(key: string): number {
    let low = 0;
    for (let high = this.#blocks.length - 1; low < high;) {
      const middle = (low + high + 1) >>> 1;
      if (this.#blocks[middle]![0]! <= key) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** It must not be there yet. */
  add(key: string): void {
    const at = this.#blockOf(key);
    const block = this.#blocks[at];
    if (!block) {
      this.#blocks.push([key]);
      return;
    }
    block.splice(lowerBound(block, key), 0, key);
    if (block.length > 2 * BLOCK_SIZE) this.#blocks.splice(at + 1, 0, block.splice(BLOCK_SIZE));
  }

  /** It must be there. */
  delete(key: string): void {
    const at = this.#blockOf(key);
    const block = this.#blocks[at]!;
    block.splice(lowerBound(block, key), 1);
    if (block.length === 0) this.#blocks.splice(at, 1);
  }

  /** Keys from `from` on, below `to` if it is given; nothing may change meanwhile. */
  *range(from: string, to?: string): Generator<string, void> {
    for (let at = this.#blockOf(from); at < this.#blocks.length; at++) {
      const block = this.#blocks[at]!;
      for (let i = lowerBound(block, from); i < block.length; i++) {
        if (to !== undefined && block[i]! >= to) return;
        yield block[i]!;
      }
    }
  }
}

function lowerBound(block: readonly string[], key: string): number {
  let low = 0;
  for (let high = block.length; low < high;) {
    const middle = (low + high) >>> 1;
    if (block[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
