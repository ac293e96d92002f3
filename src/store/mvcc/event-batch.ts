/** The events of one response, made once for all watchers of a range that want them in the same way. */
import type { WatchEvent } from './events.ts';

/** Which events a watcher wants, and whether with the value before. */
export interface Wants {
  noPut?: boolean;
  noDelete?: boolean;
  previous?: boolean;
}

export interface EventBatch {
  /** What the response's header says. */
  readonly revision: number;
  /** Encoded mvccpb.Event each. */
  readonly events: readonly Uint8Array[];
  /** Of all events. */
  readonly sizeBytes: number;
  /** How each response that gives it begins, once one was made. */
  head: Uint8Array | undefined;
  /** What was sent of it, by watch id if that is small: streams that use the same id send the same bytes. */
  readonly sent: Uint8Array[];
}

const NO_PUT = 1;
const NO_DELETE = 2;
const PREVIOUS = 4;
const VARIANTS = 8;

/** Wants as a number below 8. */
export function variantOf({ noPut, noDelete, previous }: Wants): number {
  return (noPut ? NO_PUT : 0) | (noDelete ? NO_DELETE : 0) | (previous ? PREVIOUS : 0);
}

export class EventBatches {
  readonly #events: readonly WatchEvent[];
  readonly #revision: number;
  readonly #made = new Map<number, EventBatch | undefined>();

  /** `events` in their order; `revision` is for the header. */
  constructor(events: readonly WatchEvent[], revision: number) {
    this.#events = events;
    this.#revision = revision;
  }

  /** Those from revision `from` on; undefined when none is wanted. */
  of(variant: number, from: number): EventBatch | undefined {
    const start = this.#startOf(from);
    const id = start * VARIANTS + variant;
    const known = this.#made.get(id);
    if (known || this.#made.has(id)) return known;
    const made = this.#make(variant, start);
    this.#made.set(id, made);
    return made;
  }

  #startOf(revision: number): number {
    let low = 0;
    for (let high = this.#events.length; low < high;) {
      const middle = (low + high) >>> 1;
      if (this.#events[middle]!.revision < revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #make(variant: number, start: number): EventBatch | undefined {
    const events: Uint8Array[] = [];
    let sizeBytes = 0;
    for (let i = start; i < this.#events.length; i++) {
      const event = this.#events[i]!;
      if (variant & (event.isDelete ? NO_DELETE : NO_PUT)) continue;
      const bytes = event.encoded((variant & PREVIOUS) !== 0);
      events.push(bytes);
      sizeBytes += bytes.length;
    }
    if (events.length === 0) return undefined;
    return { revision: this.#revision, events, sizeBytes, head: undefined, sent: [] };
  }
}
