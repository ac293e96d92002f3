/**
 * A line on the terminal that says how far a long job is: label, bar, bytes, rate and time left. Appears only
 * when a job has run for a second, and wipes itself before anything else is printed.
 */
import type { ProgressSink } from '../bytes/pacer.ts';
import { humanizeBytes } from '../bytes/humanize.ts';

const APPEARS_AFTER_MS = 1000;
const REDRAW_MS = 100;
const BAR_WIDTH = 16;
const WIPE = '\r\u001b[K';

export interface ProgressOptions {
  write(text: string): void;
  /** Milliseconds that never go back. */
  now(): number;
  /** Columns of the terminal. */
  width(): number;
}

export class Progress {
  readonly #options: ProgressOptions;
  #isShown = false;
  #drawnAt = -Infinity;

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  /** Starts one job; what it returns is told bytes done and bytes in all. */
  start(label: string): ProgressSink {
    const options = this.#options;
    const beganAt = options.now();
    return (done, total) => {
      const elapsedMs = options.now() - beganAt;
      if (elapsedMs < APPEARS_AFTER_MS || options.now() - this.#drawnAt < REDRAW_MS) return;
      this.#drawnAt = options.now();
      this.#draw(progressLine({ label, done, total, elapsedMs }));
    };
  }

  /** Takes the line off the terminal; the next report draws it again. */
  wipe(): void {
    if (!this.#isShown) return;
    this.#isShown = false;
    this.#options.write(WIPE);
  }

  #draw(line: string): void {
    this.#isShown = true;
    // A line that wraps could not be wiped.
    this.#options.write(WIPE + line.slice(0, Math.max(0, this.#options.width() - 1)));
  }
}

/** `reading [=====>    ] 52%  468 MB of 900 MB  610 MB/s  1s left` */
export function progressLine(state: {
  label: string;
  done: number;
  total: number;
  elapsedMs: number;
}): string {
  const { label, done, total, elapsedMs } = state;
  const perSecond = (done * 1000) / elapsedMs;
  const rate = `${humanizeBytes(Math.round(perSecond))}/s`;
  if (total <= 0) return `${label}  ${humanizeBytes(done)}  ${rate}`;

  const part = Math.min(1, done / total);
  const filled = Math.round(part * BAR_WIDTH);
  const bar = '='.repeat(filled) + ' '.repeat(BAR_WIDTH - filled);
  const left = perSecond > 0 ? `  ${clock((total - done) / perSecond)} left` : '';
  return `${label} [${bar}] ${Math.floor(part * 100)}%  ${humanizeBytes(done)} of ${humanizeBytes(total)}  ${rate}${left}`;
}

function clock(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${whole % 60}s`;
  return `${Math.floor(whole / 3600)}h${Math.floor((whole % 3600) / 60)}m`;
}
