/** Ids of keys in the byte order of their keys, in blocks, so that one more costs little however many there are. */

const BLOCK_SIZE = 1024;
/** How full blocks are at first. */
const FIRST_FILL = 768;

/** Negative, zero or positive as the key of `id` sorts before, equal to or after `key`. */
export type CompareKey = (id: number, key: Uint8Array) => number;

interface Block {
  ids: Uint32Array;
  /** Never 0. */
  count: number;
}

interface Place {
  block: number;
  at: number;
}

export class SortedKeys {
  readonly #compare: CompareKey;
  readonly #blocks: Block[] = [];

  /** `ids` are in order. */
  constructor(compare: CompareKey, ids: Uint32Array = new Uint32Array()) {
    this.#compare = compare;
    for (let at = 0; at < ids.length; at += FIRST_FILL)
      this.#blocks.push(blockOf(ids.subarray(at, Math.min(at + FIRST_FILL, ids.length))));
  }

  /** Index of the block in which `key` lies or would lie. */
  #blockOf(key: Uint8Array): number {
    let low = 0;
    for (let high = this.#blocks.length - 1; low < high;) {
      const middle = (low + high + 1) >>> 1;
      if (this.#compare(this.#blocks[middle]!.ids[0]!, key) <= 0) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Index of the first id in a block whose key is not before `key`. */
  #placeIn({ ids, count }: Block, key: Uint8Array): number {
    let low = 0;
    for (let high = count; low < high;) {
      const middle = (low + high) >>> 1;
      if (this.#compare(ids[middle]!, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Its key must not be there yet. */
  add(id: number, key: Uint8Array): void {
    if (this.#blocks.length === 0) {
      this.#blocks.push(blockOf(Uint32Array.of(id)));
      return;
    }
    let index = this.#blockOf(key);
    let block = this.#blocks[index]!;
    let at = this.#placeIn(block, key);
    if (block.count === BLOCK_SIZE) {
      // Keys that come in order leave full blocks behind them.
      const keep = at === BLOCK_SIZE && index === this.#blocks.length - 1 ? BLOCK_SIZE - 1 : BLOCK_SIZE / 2;
      const upper = blockOf(block.ids.subarray(keep));
      this.#blocks.splice(++index, 0, upper);
      block.count = keep;
      if (at > keep) {
        at -= keep;
        block = upper;
      }
    }
    block.ids.copyWithin(at + 1, at, block.count++);
    block.ids[at] = id;
  }

  /** It must be there. */
  delete(key: Uint8Array): void {
    const index = this.#blockOf(key);
    const block = this.#blocks[index]!;
    const at = this.#placeIn(block, key);
    block.ids.copyWithin(at, at + 1, block.count--);
    const next = this.#blocks[index + 1];
    if (block.count === 0) this.#blocks.splice(index, 1);
    else if (next && block.count + next.count <= BLOCK_SIZE / 2) {
      block.ids.set(next.ids.subarray(0, next.count), block.count);
      block.count += next.count;
      this.#blocks.splice(index + 1, 1);
    }
  }

  /** Ids of keys from `from` on, below `to` if it is given, until `take` gives false; nothing may change meanwhile. */
  visit(from: Uint8Array, to: Uint8Array | undefined, take: (id: number) => boolean): void {
    const [low, high] = this.#bounds(from, to);
    for (let index = low.block; index <= high.block; index++) {
      const { ids, count } = this.#blocks[index]!;
      const end = index === high.block ? high.at : count;
      for (let i = index === low.block ? low.at : 0; i < end; i++) if (!take(ids[i]!)) return;
    }
  }

  /** How many {@link visit} would give. */
  count(from: Uint8Array, to: Uint8Array | undefined): number {
    const [low, high] = this.#bounds(from, to);
    let count = high.at - low.at;
    for (let index = low.block; index < high.block; index++) count += this.#blocks[index]!.count;
    return Math.max(0, count);
  }

  /** Where a range begins, and where it ends. */
  #bounds(from: Uint8Array, to: Uint8Array | undefined): [low: Place, high: Place] {
    const last = this.#blocks.length - 1;
    if (last === -1)
      return [
        { block: 0, at: 0 },
        { block: -1, at: 0 },
      ];
    const low = this.#placeOf(from);
    return [low, to ? this.#placeOf(to) : { block: last, at: this.#blocks[last]!.count }];
  }

  #placeOf(key: Uint8Array): Place {
    const block = this.#blockOf(key);
    return { block, at: this.#placeIn(this.#blocks[block]!, key) };
  }
}

function blockOf(ids: Uint32Array): Block {
  const block = { ids: new Uint32Array(BLOCK_SIZE), count: ids.length };
  block.ids.set(ids);
  return block;
}
