/**
 * How many calls a client may cancel on one connection. nghttp2 counts in the same way and, over 1000, tells Node
 * nothing and answers nothing more, so a connection has to move, or go, before.
 */

/** nghttp2's own pace: what it forgets in a second. */
const FORGOTTEN_PER_SECOND = 33;

export class ResetBudget {
  readonly #softMax: number;
  readonly #hardMax: number;
  #level = 0;
  #sinceMs = 0;

  constructor({ resetsSoftMax, resetsHardMax }: { resetsSoftMax: number; resetsHardMax: number }) {
    this.#softMax = resetsSoftMax;
    this.#hardMax = resetsHardMax;
  }

  /** Counts one; `move` asks for another connection, `end` is beyond what can be borne. */
  spend(nowMs: number): 'fine' | 'move' | 'end' {
    this.#level = this.levelAt(nowMs) + 1;
    this.#sinceMs = nowMs;
    if (this.#level > this.#hardMax) return 'end';
    return this.#level > this.#softMax ? 'move' : 'fine';
  }

  /** Cancelled calls that are not forgotten. */
  levelAt(nowMs: number): number {
    return Math.max(0, this.#level - ((nowMs - this.#sinceMs) / 1000) * FORGOTTEN_PER_SECOND);
  }
}
