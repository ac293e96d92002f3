/**
 * Events: what watchers are told of changes, as encoded mvccpb.Event, and how past ones are read back from bucket
 * `key`. Each is encoded once for all watchers. Rules: etcd v3.6 server/storage/mvcc/watchable_store.go.
 */
import { latin1 } from '../../bytes/order.ts';
import { Writer } from '../../bytes/writer.ts';
import { CorruptError } from '../../errors.ts';
import { EVENT_TYPE } from '../../format/proto/mvccpb.ts';
import type { BackendView } from '../backend/backend.ts';
import type { Change } from './key-change.ts';
import type { KeyRange } from './key-values.ts';
import { encodeRevision, RecordView } from './record.ts';

/** What of the store watching needs. */
export interface WatchedKeys {
  readonly revision: number;
  readonly compactRevision: number;
  range(range: KeyRange, at: { revision: number }): ReadonlyArray<{ bytes: Uint8Array }>;
}

const TYPE_TAG = 0x08;
const KV_TAG = 0x12;
const PREVIOUS_TAG = 0x1a;
const MOD_REVISION_TAG = 0x18;

/** What of a change an event tells. */
type ToldChange = Pick<Change, 'key' | 'isDelete' | 'isCreate' | 'bytes'>;

/** A change with its encoded forms. */
export class WatchEvent {
  readonly revision: number;
  readonly isDelete: boolean;
  readonly #change: ToldChange;
  readonly #keys: WatchedKeys;
  #plain: Uint8Array | undefined;
  #withPrevious: Uint8Array | undefined;

  constructor(revision: number, change: ToldChange, keys: WatchedKeys) {
    this.revision = revision;
    this.isDelete = change.isDelete;
    this.#change = change;
    this.#keys = keys;
  }

  /** An mvccpb.Event. The value before is absent where it is not held any more. */
  encoded(hasPrevious: boolean): Uint8Array {
    if (!hasPrevious || this.#change.isCreate) return (this.#plain ??= this.#encode(undefined));
    return (this.#withPrevious ??= this.#encode(this.#previous()));
  }

  /** As of the revision before, also where this revision changed the key twice. */
  #previous(): Uint8Array | undefined {
    const revision = this.revision - 1;
    if (revision < this.#keys.compactRevision) return undefined;
    const key = Buffer.from(this.#change.key, 'latin1');
    return this.#keys.range({ key, end: undefined }, { revision })[0]?.bytes;
  }

  #encode(previous: Uint8Array | undefined): Uint8Array {
    const { bytes } = this.#change;
    const writer = new Writer(bytes.length + (previous?.length ?? 0) + 16);
    if (this.isDelete) writer.u8(TYPE_TAG).u8(EVENT_TYPE.delete);
    writer.u8(KV_TAG).varint(bytes.length).bytes(bytes);
    if (previous) writer.u8(PREVIOUS_TAG).varint(previous.length).bytes(previous);
    return writer.view();
  }
}

export interface PastEvents {
  events: Array<{ key: string; event: WatchEvent }>;
  /** The first revision that was not read. */
  nextRevision: number;
}

export interface PastEventsOptions {
  from: number;
  /** How many revisions are read at most. */
  revisionsMax: number;
  /** No further revision is begun once its wanted records have these bytes … */
  wantedBytesMax: number;
  /** … or all records have these. */
  readBytesMax: number;
  isWanted: (key: string) => boolean;
}

/** Reads the events of whole revisions, from `from` on. Throws `CorruptError`. */
export function readEvents(
  backend: BackendView,
  keys: WatchedKeys,
  { from, revisionsMax, wantedBytesMax, readBytesMax, isWanted }: PastEventsOptions,
): PastEvents {
  const events: PastEvents['events'] = [];
  const record = new RecordView();
  const end = Math.min(from + revisionsMax, keys.revision + 1);
  let [wantedBytes, readBytes, last] = [0, 0, from];
  const range = { from: encodeRevision(from, 0), to: encodeRevision(end, 0) };
  for (const { key, value } of backend.scan('key', range)) {
    const problem = record.decodeRevision(key, 0, key.length) ?? record.decodeValue(value, 0, value.length);
    if (problem) throw new CorruptError('mvcc.value', problem, { where: { field: 'bucket key' } });
    if (record.main !== last && (wantedBytes >= wantedBytesMax || readBytes >= readBytesMax))
      return { events, nextRevision: record.main };
    last = record.main;
    readBytes += value.length;
    // The record of a bump has no key, and nobody is told of it.
    if (record.isEmpty) continue;
    const name = latin1(value.subarray(record.keyStart, record.keyEnd));
    if (!isWanted(name)) continue;
    wantedBytes += value.length;
    events.push({ key: name, event: new WatchEvent(record.main, changeOf(record, name, value), keys) });
  }
  return { events, nextRevision: end };
}

function changeOf(record: RecordView, key: string, value: Uint8Array): ToldChange {
  const { main, isTombstone, createRevision } = record;
  return {
    key,
    isDelete: isTombstone,
    isCreate: !isTombstone && createRevision === main,
    // A row is gone with the next one, and `slice` of a Buffer would share its memory.
    bytes: isTombstone ? withModRevision(value, main) : new Uint8Array(value),
  };
}

/** A tombstone holds only its key; watchers are told the revision too. */
function withModRevision(tombstone: Uint8Array, revision: number): Uint8Array {
  return new Writer(tombstone.length + 9).bytes(tombstone).u8(MOD_REVISION_TAG).varint(revision).finish();
}
