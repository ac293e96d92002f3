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

/** A change with its encoded forms. */
export class WatchEvent {
  readonly revision: number;
  readonly isDelete: boolean;
  readonly #change: Change;
  #plain: Uint8Array | undefined;
  #withPrevious: Uint8Array | undefined;

  constructor(revision: number, change: Change) {
    this.revision = revision;
    this.isDelete = change.isDelete;
    this.#change = change;
  }

  /** An mvccpb.Event. */
  encoded(hasPrevious: boolean): Uint8Array {
    if (!hasPrevious || this.#change.isCreate) return (this.#plain ??= this.#encode(undefined));
    return (this.#withPrevious ??= this.#encode(this.#change.previous()));
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
    events.push({ key: name, event: new WatchEvent(record.main, changeOf(record, name, value, keys)) });
  }
  return { events, nextRevision: end };
}

function changeOf(record: RecordView, key: string, value: Uint8Array, keys: WatchedKeys): Change {
  const { main, sub, isTombstone } = record;
  return {
    key,
    sub,
    isDelete: isTombstone,
    isCreate: !isTombstone && record.createRevision === main,
    // A row is gone with the next one, and `slice` of a Buffer would share its memory.
    bytes: isTombstone ? withModRevision(value, main) : new Uint8Array(value),
    previous: () => heldBefore(keys, key, main),
  };
}

/** A tombstone holds only its key; watchers are told the revision too. */
function withModRevision(tombstone: Uint8Array, revision: number): Uint8Array {
  return new Writer(tombstone.length + 9).bytes(tombstone).u8(MOD_REVISION_TAG).varint(revision).finish();
}

function heldBefore(keys: WatchedKeys, key: string, revision: number): Uint8Array | undefined {
  const before = revision - 1;
  if (before < Math.max(keys.compactRevision, 1)) return undefined;
  return keys.range({ key: Buffer.from(key, 'latin1'), end: undefined }, { revision: before })[0]?.bytes;
}
