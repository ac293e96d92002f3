/**
 * What waits, by whose it is: whoever waits has a turn before anybody has a second, so that one who has much waiting
 * holds up nobody but himself. Within what is one's own, first come, first served.
 */

export class Turns<T> {
  /** Whose turn it is comes first; nobody is here with nothing. */
  readonly #waiting = new Map<string, Set<T>>();

  add(name: string, item: T): void {
    const own = this.#waiting.get(name);
    if (own) own.add(item);
    else this.#waiting.set(name, new Set([item]));
  }

  /** Whether it was there. */
  delete(name: string, item: T): boolean {
    const own = this.#waiting.get(name);
    if (!own?.delete(item)) return false;
    if (own.size === 0) this.#waiting.delete(name);
    return true;
  }

  /** Takes what has its turn. */
  take(): T | undefined {
    for (const [name, own] of this.#waiting) {
      this.#waiting.delete(name);
      const [first, ...rest] = own;
      if (rest.length > 0) this.#waiting.set(name, new Set(rest));
      return first;
    }
    return undefined;
  }

  /** Takes what came last of who has most waiting, if that is more than `countMin`, which is at least 1. */
  takeLastOfMost(countMin: number): T | undefined {
    let most: Set<T> | undefined;
    for (const own of this.#waiting.values())
      if (own.size > countMin && own.size > (most?.size ?? 0)) most = own;
    const last = most && [...most].at(-1);
    if (last !== undefined) most!.delete(last);
    return last;
  }
}
