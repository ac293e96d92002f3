/** Time as the server measures it: it only goes forward, and nobody can set it. */

export interface Clock {
  /** Milliseconds since some moment; never less than before. */
  now(): number;
  /** Calls `run` once, after `delayMs` at the earliest. Gives what cancels it. It keeps no process alive. */
  after(delayMs: number, run: () => void): () => void;
}

/** The machine's monotonic clock: neither NTP nor an operator moves it, and it stands while the machine is suspended. */
export const MONOTONIC_CLOCK: Clock = {
  now: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
