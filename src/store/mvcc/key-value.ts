/**
 * An encoded mvccpb.KeyValue, written and taken apart without a decoded one in between: records are hot, and travel as
 * they are stored. The same bytes as the table in `format/proto/mvccpb.ts` gives.
 */
import { Slab } from '../../bytes/slab.ts';
import { CorruptError } from '../../errors.ts';
import { RecordView } from './record.ts';

/** Tags of the fields; all fit a byte. */
const TAG = {
  key: 0x0a,
  createRevision: 0x10,
  modRevision: 0x18,
  version: 0x20,
  value: 0x2a,
  lease: 0x30,
} as const;

/** Records are kept by the thousand until a commit has written them. */
const slab = new Slab();

export interface KeyValueParts {
  key: Uint8Array;
  createRevision: number;
  modRevision: number;
  version: number;
  value: Uint8Array;
  leaseLow: number;
  leaseHigh: number;
}

/** Zeros are left out. */
export function encodeKeyValue(parts: KeyValueParts): Uint8Array {
  const { key, createRevision, modRevision, version, value, leaseLow, leaseHigh } = parts;
  const isLeased = leaseLow !== 0 || leaseHigh !== 0;
  const bytes = slab.take(
    bytesSize(key.length) +
      numberSize(createRevision) +
      numberSize(modRevision) +
      numberSize(version) +
      bytesSize(value.length) +
      (isLeased ? 1 + wordsSize(leaseLow, leaseHigh) : 0),
  );
  let at = writeBytes(bytes, 0, TAG.key, key);
  at = writeNumber(bytes, at, TAG.createRevision, createRevision);
  at = writeNumber(bytes, at, TAG.modRevision, modRevision);
  at = writeNumber(bytes, at, TAG.version, version);
  at = writeBytes(bytes, at, TAG.value, value);
  if (!isLeased) return bytes;
  bytes[at++] = TAG.lease;
  writeWords(bytes, at, leaseLow, leaseHigh);
  return bytes;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) size++;
  return size;
}

const bytesSize = (length: number): number => (length === 0 ? 0 : 1 + varintSize(length) + length);
const numberSize = (value: number): number => (value === 0 ? 0 : 1 + varintSize(value));

function wordsSize(low: number, high: number): number {
  let size = 1;
  for (let [rest, upper] = [low, high]; upper !== 0 || rest >= 0x80; size++) {
    rest = ((rest >>> 7) | (upper << 25)) >>> 0;
    upper >>>= 7;
  }
  return size;
}

function writeVarint(bytes: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes[at++] = (rest % 128) | 0x80;
  bytes[at++] = rest;
  return at;
}

function writeBytes(bytes: Uint8Array, at: number, tag: number, content: Uint8Array): number {
  if (content.length === 0) return at;
  bytes[at] = tag;
  const start = writeVarint(bytes, at + 1, content.length);
  bytes.set(content, start);
  return start + content.length;
}

function writeNumber(bytes: Uint8Array, at: number, tag: number, value: number): number {
  if (value === 0) return at;
  bytes[at] = tag;
  return writeVarint(bytes, at + 1, value);
}

function writeWords(bytes: Uint8Array, start: number, low: number, high: number): void {
  let at = start;
  let [rest, upper] = [low, high];
  while (upper !== 0 || rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest = ((rest >>> 7) | (upper << 25)) >>> 0;
    upper >>>= 7;
  }
  bytes[at] = rest;
}

/** A lease as two words, as records hold it. */
export function leaseWords(lease: bigint): { leaseLow: number; leaseHigh: number } {
  if (lease === 0n) return { leaseLow: 0, leaseHigh: 0 };
  const bits = BigInt.asUintN(64, lease);
  return { leaseLow: Number(bits & 0xffffffffn), leaseHigh: Number(bits >> 32n) };
}

const view = new RecordView();

/** The record taken apart; valid until the next call. Throws `CorruptError`. */
export function viewKeyValue(bytes: Uint8Array): RecordView {
  const problem = view.decodeValue(bytes, 0, bytes.length);
  if (problem) throw new CorruptError('mvcc.value', problem, { where: { field: 'bucket key' } });
  return view;
}

/** A view of the value within. */
export function valueOf(bytes: Uint8Array): Uint8Array {
  const { valueStart, valueEnd } = viewKeyValue(bytes);
  return bytes.subarray(valueStart, valueEnd);
}

/** The same without its value. */
export function withoutValue(bytes: Uint8Array): Uint8Array {
  const { valueStart, valueEnd } = viewKeyValue(bytes);
  if (valueStart === valueEnd) return bytes;
  const fieldStart = valueStart - 1 - varintSize(valueEnd - valueStart);
  const rest = new Uint8Array(bytes.length - (valueEnd - fieldStart));
  rest.set(bytes.subarray(0, fieldStart));
  rest.set(bytes.subarray(valueEnd), fieldStart);
  return rest;
}

/** The lease that two words are. */
export function joinLease(low: number, high: number): bigint {
  return high === 0 ? BigInt(low) : BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low));
}
