/** A store that never ends and holds nothing: what it has is made when it is asked for. */
import type { BackendView, Pair, ScanRange } from '../../../src/store/backend/backend.ts';
import { encodeKeyValue } from '../../../src/store/mvcc/key-value.ts';
import type { KeyValues } from '../../../src/store/mvcc/key-values.ts';
import { encodeRevision } from '../../../src/store/mvcc/record.ts';

const REST = { createRevision: 2, version: 1, leaseLow: 0, leaseHigh: 0 };

/** A store of any length that holds nothing: revision `n` puts key `n % 1000`. */
export class EndlessStore implements BackendView {
  revision = 1;
  readonly compactRevision = -1;
  onRevision: KeyValues['onRevision'];
  readonly keys = this;
  readonly backend = this;
  readonly #value: Uint8Array;

  header(): { clusterId: bigint; memberId: bigint; revision: number; raftTerm: number } {
    return { clusterId: 1n, memberId: 2n, revision: this.revision, raftTerm: 2 };
  }

  range(): [] {
    return [];
  }

  get(): undefined {
    return undefined;
  }

  /** Revisions put a value of that size. */
  constructor(valueSize = 1_000) {
    this.#value = Buffer.alloc(valueSize, 'x');
  }

  #record(revision: number): Uint8Array {
    const key = Buffer.from(`${revision % 1000}`);
    return encodeKeyValue({ ...REST, key, modRevision: revision, value: this.#value });
  }

  *scan(_bucket: string, { from, to }: ScanRange = {}): Generator<Pair, void> {
    const end = Number(Buffer.from(to!).readBigUInt64BE(0));
    for (let main = Number(Buffer.from(from!).readBigUInt64BE(0)); main < end; main++)
      yield { key: encodeRevision(main, 0), value: this.#record(main) };
  }

  put(): void {
    const revision = ++this.revision;
    const bytes = this.#record(revision);
    const key = `${revision % 1000}`;
    const change = { key, sub: 0, isDelete: false, isCreate: true, bytes, previous: () => undefined };
    this.onRevision!(revision, [change]);
  }
}
