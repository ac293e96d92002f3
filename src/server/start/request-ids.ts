/**
 * Ids of requests, which no two requests of a cluster share: the member's low 16 bits, the time at which it started in
 * 40, a counter. etcd v3.6 pkg/idutil/id.go.
 */

const SUFFIX_BITS = 48n;
const COUNTER_BITS = 8n;
const TIME_BITS = 40;

export class RequestIds {
  readonly #prefix: bigint;
  #suffix: bigint;

  constructor(memberId: bigint, startedMs: number) {
    this.#prefix = BigInt.asUintN(16, memberId) << SUFFIX_BITS;
    this.#suffix = BigInt.asUintN(TIME_BITS, BigInt(Math.trunc(startedMs))) << COUNTER_BITS;
  }

  next(): bigint {
    this.#suffix = BigInt.asUintN(Number(SUFFIX_BITS), this.#suffix + 1n);
    return this.#prefix | this.#suffix;
  }
}
