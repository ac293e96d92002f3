/**
 * One state of a database, read from the file that has moved on: as a snapshot of it would be, with both metas naming
 * the same root, and no more pages than it has. Pages that the state does not need read as zeros, since later states
 * write to them: so all of it stays as it is.
 */
import type { Source } from '../../bytes/source.ts';
import { CorruptError } from '../../errors.ts';
import { FIRST_DATA_PAGE } from '../../format/bolt/layout.ts';
import { encodeMetaPage } from '../../format/bolt/meta.ts';
import type { HeldState } from '../../format/bolt/tx.ts';

export class StateSource implements Source {
  readonly name: string;
  readonly size: number;
  readonly #file: Source;
  readonly #state: HeldState;
  readonly #metas: Uint8Array;

  /** Closing it closes `file` and releases `state`. */
  constructor(file: Source, state: HeldState) {
    const { pageSize, pageLimit, txid } = state.meta;
    this.name = file.name;
    this.size = pageSize * pageLimit;
    this.#file = file;
    this.#state = state;
    this.#metas = new Uint8Array(FIRST_DATA_PAGE * pageSize);
    const meta = { ...state.meta, freelist: undefined };
    this.#metas.set(encodeMetaPage({ ...meta, page: 0 }));
    this.#metas.set(encodeMetaPage({ ...meta, page: 1, txid: txid > 0n ? txid - 1n : 0n }), pageSize);
  }

  readInto(offset: number, into: Uint8Array): void {
    const end = offset + into.length;
    if (offset < 0 || end > this.size) {
      const message = `${into.length} bytes were expected, ${Math.max(0, this.size - offset)} are there`;
      throw new CorruptError('io.short-read', message, { where: { file: this.name, offset } });
    }
    const fromMetas = this.#metas.subarray(offset, end);
    into.set(fromMetas);
    const rest = into.subarray(fromMetas.length);
    if (rest.length > 0) this.#readPages(offset + fromMetas.length, rest);
  }

  #readPages(offset: number, into: Uint8Array): void {
    const { pageSize } = this.#state.meta;
    const { unneeded } = this.#state;
    const first = Math.floor(offset / pageSize);
    const end = Math.ceil((offset + into.length) / pageSize);
    const isNeeded = unneeded.subarray(first, end).includes(0);
    if (isNeeded) this.#file.readInto(offset, into);
    for (let id = first; id < end; id++) {
      if (unneeded[id] !== 0) into.fill(0, Math.max(0, id * pageSize - offset), (id + 1) * pageSize - offset);
    }
  }

  readAhead(): void {
    this.#file.readAhead?.();
  }

  close(): void {
    this.#state.release();
    this.#file.close();
  }
}
