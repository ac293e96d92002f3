/**
 * Tells those who wait for something to happen to a key, while they wait. Not for watches: what came before is not
 * told, and nothing is kept for anybody.
 */
import { latin1 } from '../../bytes/order.ts';
import type { Change } from '../../store/mvcc/key-change.ts';
import type { KeyRange } from '../../store/mvcc/key-values.ts';
import { etcdError } from '../rpc-errors.ts';

/** Is told of a change at once, within the change of the state; must not throw. */
export type KeyListener = (change: Change, revision: number) => void;

interface RangeListener {
  from: string;
  /** The first key that is not meant; undefined when all from `from` on are. */
  to: string | undefined;
  listener: KeyListener;
}

export class KeyFeed {
  readonly #byKey = new Map<string, Set<KeyListener>>();
  readonly #byRange = new Set<RangeListener>();

  /** For `KeyValues.onRevision`. */
  publish(revision: number, changes: readonly Change[]): void {
    if (this.#byKey.size === 0 && this.#byRange.size === 0) return;
    for (const change of changes) {
      for (const listener of this.#byKey.get(change.key) ?? []) listener(change, revision);
      for (const { from, to, listener } of this.#byRange)
        if (change.key >= from && (to === undefined || change.key < to)) listener(change, revision);
    }
  }

  /** From now on until what it gives is called. */
  follow({ key, end }: KeyRange, listener: KeyListener): () => void {
    const from = latin1(key);
    if (end === undefined) return this.#followKey(from, listener);
    const entry = { from, to: end.length === 0 ? undefined : latin1(end), listener };
    this.#byRange.add(entry);
    return () => void this.#byRange.delete(entry);
  }

  #followKey(key: string, listener: KeyListener): () => void {
    const listeners = this.#byKey.get(key) ?? new Set();
    this.#byKey.set(key, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#byKey.get(key) === listeners) this.#byKey.delete(key);
    };
  }

  /** Resolves at the next deletion of a key. Throws when the call is over before. */
  deletionOf(key: Uint8Array, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        stop();
        reject(etcdError('etcdserver: request canceled'));
      };
      const stop = this.follow({ key, end: undefined }, ({ isDelete }) => {
        if (!isDelete) return;
        stop();
        signal.removeEventListener('abort', giveUp);
        resolve();
      });
      if (signal.aborted) giveUp();
      else signal.addEventListener('abort', giveUp, { once: true });
    });
  }
}
