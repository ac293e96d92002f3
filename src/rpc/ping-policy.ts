/** grpc's rule for keepalive pings of clients: who pings faster than allowed, three times over, has to go. */

const STRIKES_MAX = 2;
/** What a client without calls keeps to, when it may not ping at the usual pace. */
const IDLE_INTERVAL_MS = 2 * 3600 * 1000;

interface PingLimits {
  pingIntervalMinMs: number;
  canPingWithoutStream: boolean;
}

export class PingPolicy {
  readonly #limits: PingLimits;
  #strikes = 0;
  #lastPingMs = Number.NEGATIVE_INFINITY;
  /** grpc-go measures bandwidth with pings after data: none counts that follows something we sent. */
  #isForgiven = false;

  constructor(limits: PingLimits) {
    this.#limits = limits;
  }

  /** DATA or HEADERS went out. */
  forgive(): void {
    this.#isForgiven = true;
  }

  /** Whether this ping is one too many. */
  isTooMany(nowMs: number, openStreams: number): boolean {
    const sinceMs = nowMs - this.#lastPingMs;
    this.#lastPingMs = nowMs;
    if (this.#isForgiven) {
      this.#isForgiven = false;
      this.#strikes = 0;
      return false;
    }
    const { pingIntervalMinMs, canPingWithoutStream } = this.#limits;
    const interval = openStreams === 0 && !canPingWithoutStream ? IDLE_INTERVAL_MS : pingIntervalMinMs;
    if (sinceMs < interval) this.#strikes++;
    return this.#strikes > STRIKES_MAX;
  }
}
