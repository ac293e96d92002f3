/** Who uses which page: one byte a page. Every page may be claimed once. */

export const CLAIM = { none: 0, meta: 1, branch: 2, leaf: 3, freelist: 4, overflow: 5, free: 6 } as const;
export type Claim = (typeof CLAIM)[keyof typeof CLAIM];

export class PageClaims {
  readonly #claims: Uint8Array;

  constructor(pageLimit: number) {
    this.#claims = new Uint8Array(pageLimit);
    this.#claims.fill(CLAIM.meta, 0, 2);
  }

  get pageLimit(): number {
    return this.#claims.length;
  }

  of(id: number): Claim {
    return this.#claims[id] as Claim;
  }

  /** Claims `id` and its overflow. Gives the first page that was claimed before, which it leaves as it was. */
  claim(id: number, overflow: number, claim: Claim): number | undefined {
    let taken: number | undefined;
    for (let at = id; at <= id + overflow && at < this.#claims.length; at++) {
      if (this.#claims[at] === CLAIM.none) this.#claims[at] = at === id ? claim : CLAIM.overflow;
      else taken ??= at;
    }
    return taken;
  }

  count(claim: Claim): number {
    let count = 0;
    for (const one of this.#claims) if (one === claim) count++;
    return count;
  }

  /** Page ids with `claim`, ascending. */
  *pages(claim: Claim): Generator<number> {
    for (let id = 0; id < this.#claims.length; id++) if (this.#claims[id] === claim) yield id;
  }
}
