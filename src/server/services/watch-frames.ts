/** WatchResponses as bytes: the head is small and differs, the events are shared and come last. */
import { Writer } from '../../bytes/writer.ts';
import { type ResponseHeader, responseHeader } from '../../format/proto/kvpb.ts';
import type { EventBatch } from '../../store/mvcc/event-batch.ts';

const HEADER_TAG = 0x0a;
const WATCH_ID_TAG = 0x10;
const FRAGMENT_FIELD = [0x38, 1] as const;
const EVENT_TAG = 0x5a;

/** A response that holds one event is not split, however large. */
const SPLIT_EVENTS_MIN = 2;
/** Ids that are given by the server are small, and the same on many streams. */
const SHARED_IDS = 1024n;

export class WatchFrames {
  readonly #header: () => ResponseHeader;
  readonly #fragmentBytes: number;

  /** A watcher that wants fragments is sent none of `fragmentBytes` or more, unless it is a single event. */
  constructor(header: () => ResponseHeader, fragmentBytes: number) {
    this.#header = header;
    this.#fragmentBytes = fragmentBytes;
  }

  /** The response that gives `batch`; the same for every stream. */
  whole(watchId: bigint, batch: EventBatch): Uint8Array {
    if (watchId < 0n || watchId >= SHARED_IDS)
      return this.#frame(watchId, batch, { start: 0, end: batch.events.length, isLast: true });
    const index = Number(watchId);
    return (batch.sent[index] ??= this.#frame(watchId, batch, {
      start: 0,
      end: batch.events.length,
      isLast: true,
    }));
  }

  /** The responses that give `batch` in pieces, as etcd cuts them. */
  fragments(watchId: bigint, batch: EventBatch): Uint8Array[] {
    const { events } = batch;
    const base = this.#headOf(batch).length + idSize(watchId);
    if (events.length < SPLIT_EVENTS_MIN || base + fieldsSize(events) < this.#fragmentBytes)
      return [this.whole(watchId, batch)];
    const frames: Uint8Array[] = [];
    let start = 0;
    let size = base + FRAGMENT_FIELD.length;
    for (let i = 0; i < events.length; i++) {
      const added = fieldSize(events[i]!);
      if (i > start && size + added >= this.#fragmentBytes) {
        frames.push(this.#frame(watchId, batch, { start, end: i, isLast: false }));
        start = i;
        size = base + FRAGMENT_FIELD.length;
      }
      size += added;
    }
    frames.push(this.#frame(watchId, batch, { start, end: events.length, isLast: true }));
    return frames;
  }

  #frame(
    watchId: bigint,
    batch: EventBatch,
    { start, end, isLast }: { start: number; end: number; isLast: boolean },
  ): Uint8Array {
    const { events } = batch;
    const head = this.#headOf(batch);
    let size = head.length + idSize(watchId) + (isLast ? 0 : FRAGMENT_FIELD.length);
    for (let i = start; i < end; i++) size += fieldSize(events[i]!);
    const frame = Buffer.allocUnsafe(size);
    frame.set(head);
    let at = head.length;
    if (watchId !== 0n) {
      frame[at] = WATCH_ID_TAG;
      at = putVarint(frame, at + 1, watchId);
    }
    if (!isLast) {
      frame.set(FRAGMENT_FIELD, at);
      at += FRAGMENT_FIELD.length;
    }
    for (let i = start; i < end; i++) {
      const event = events[i]!;
      frame[at] = EVENT_TAG;
      at = putVarint(frame, at + 1, event.length);
      frame.set(event, at);
      at += event.length;
    }
    return frame;
  }

  /** The field of the header. */
  #headOf(batch: EventBatch): Uint8Array {
    return (batch.head ??= this.#encodeHead(batch.revision));
  }

  #encodeHead(revision: number): Uint8Array {
    const header = responseHeader.encode({ ...this.#header(), revision });
    return new Writer().u8(HEADER_TAG).varint(header.length).bytes(header).finish();
  }
}

function fieldsSize(events: readonly Uint8Array[]): number {
  let size = 0;
  for (const event of events) size += fieldSize(event);
  return size;
}

function fieldSize({ length }: Uint8Array): number {
  return 1 + varintSize(length) + length;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) size++;
  return size;
}

function idSize(watchId: bigint): number {
  if (watchId === 0n) return 0;
  const bits = BigInt.asUintN(64, watchId).toString(2).length;
  return 1 + Math.ceil(bits / 7);
}

/** Gives where it ends. */
function putVarint(bytes: Uint8Array, start: number, value: number | bigint): number {
  let at = start;
  let rest = value;
  if (typeof rest === 'bigint') {
    if (rest >= 0n && rest <= Number.MAX_SAFE_INTEGER) rest = Number(rest);
    else {
      for (rest = BigInt.asUintN(64, rest); rest > 0x7fn; rest >>= 7n)
        bytes[at++] = Number(rest & 0x7fn) | 0x80;
      rest = Number(rest);
    }
  }
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes[at++] = (rest % 128) | 0x80;
  bytes[at++] = rest;
  return at;
}
