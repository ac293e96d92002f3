/** Counts the user keys whose newest record is not a tombstone, from records in revision order. 16 bytes a key. */
import { KeyTable, RECORD_START } from './key-table.ts';
import type { RecordView } from './record.ts';

const RECORD_WORDS = 4;
const ALIVE = RECORD_START;

export class LiveKeys {
  /** Keys alive after the last record. */
  count = 0;
  readonly #keys = new KeyTable(RECORD_WORDS);

  add(bytes: Uint8Array, record: RecordView): void {
    const keys = this.#keys;
    keys.find(bytes, record.keyStart, record.keyEnd);
    const alive = record.isTombstone ? 0 : 1;
    this.count += alive - keys.words[keys.at + ALIVE]!;
    keys.words[keys.at + ALIVE] = alive;
  }
}
