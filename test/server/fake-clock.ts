/** A clock that stands until it is told to go on. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../src/server/clock.ts';

export class FakeClock implements Clock {
  #now = 1_000_000;
  #timers: Array<{ at: number; run: () => void }> = [];

  now(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.#now + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  get timerCount(): number {
    return this.#timers.length;
  }

  /** Goes on in small steps, as a process does that is never late; what timers start is let end. */
  async advance(ms: number): Promise<void> {
    for (const end = this.#now + ms; ;) {
      const next = Math.min(...this.#timers.map(({ at }) => at));
      if (next > end) {
        this.#now = end;
        return;
      }
      this.#now = Math.max(this.#now, next);
      this.#runDue();
      await nextTurn();
    }
  }

  /** Jumps, as after a pause of the whole process; then what is due runs once. */
  async jump(ms: number): Promise<void> {
    this.#now += ms;
    this.#runDue();
    await nextTurn();
  }

  #runDue(): void {
    const due = this.#timers.filter(({ at }) => at <= this.#now);
    this.#timers = this.#timers.filter(({ at }) => at > this.#now);
    for (const { run } of due) run();
  }
}
