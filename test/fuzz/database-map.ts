/**
 * A map of a healthy database: what each byte of it is. Made by a walker of its own, so that the reader under test
 * is not asked where to be hurt. It trusts what it reads; give it healthy files alone.
 */
import type { Run } from '../support/mutate.ts';

/** Bytes whose change makes another tree, another record or another history: every one must be found. */
export const STRUCTURE = [
  'meta',
  'page header',
  'branch element',
  'branch key',
  'leaf element',
  'bucket name',
  'bucket header',
  'revision key',
  'record tag',
  'mod_revision',
  'create_revision',
  'version',
  'row key',
  'row tag',
  'freelist',
] as const;

/** Bytes that hold what somebody stored, or nothing: without a trailer no checksum covers them. */
export const PAYLOAD = [
  'user key',
  'value',
  'lease id',
  'row value',
  'compaction mark',
  'removed member',
  'alarm',
  'plain key',
  'unused',
  'free page',
  'tail',
] as const;

export type Kind = (typeof STRUCTURE)[number] | (typeof PAYLOAD)[number];

export interface Region extends Run {
  kind: Kind;
  /** First page of the run it lies in. */
  page: number;
  /** Of bucket `key`: index into `records`. */
  record?: number;
}

/** One record of bucket `key`, in file order. */
export interface RecordSpan {
  page: number;
  keyStart: number;
  keySize: number;
  valueStart: number;
  valueEnd: number;
  main: number;
  isTombstone: boolean;
  create: number;
  version: number;
  userKey: string;
  /** The next record of the same user key. */
  next?: RecordSpan;
  hasPrevious: boolean;
}

export interface DatabaseMap {
  /** None of etcd's. */
  isPlain: boolean;
  pageSize: number;
  /** High-water mark, in pages. */
  pageLimit: number;
  /** Ascending, without gaps, up to the end of the file. */
  regions: Region[];
  records: RecordSpan[];
  /** Reachable pages, overflow included, and the page that names each. */
  parents: Map<number, number>;
  /** Page of the stored freelist. */
  freelist: number | undefined;
  /** Page of bucket `meta`'s rows. */
  metaRowPage: number;
  /** Revision up to which history is compacted; −1 when never. */
  compacted: number;
  isCompacting: boolean;
}

/** Which fields of a message are messages. */
interface Fields {
  [number: number]: Fields;
}

const ROW_MESSAGES: Record<string, Fields> = { lease: {}, authUsers: { 4: {} }, authRoles: { 2: {} } };
const RECORD_KINDS: Kind[] = [
  'unused',
  'user key',
  'create_revision',
  'mod_revision',
  'version',
  'value',
  'lease id',
];
const HEADER = 16;
const ELEMENT = 16;

interface Element {
  flags: number;
  keyStart: number;
  keySize: number;
  valueEnd: number;
}

/** Maps `bytes`, a database without trailer; `isPlain`: one that is none of etcd's. */
export function mapDatabase(bytes: Uint8Array, options: { isPlain?: boolean } = {}): DatabaseMap {
  return new Mapper(bytes, options.isPlain ?? false).run();
}

export function regionAt(map: DatabaseMap, offset: number): Region {
  let low = 0;
  let high = map.regions.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (map.regions[middle]!.start <= offset) low = middle;
    else high = middle - 1;
  }
  return map.regions[low]!;
}

class Mapper {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #isPlain: boolean;
  readonly #regions: Region[] = [];
  readonly #records: RecordSpan[] = [];
  readonly #newest = new Map<string, RecordSpan>();
  readonly #parents = new Map<number, number>();
  #metaRowPage = 0;
  readonly #marks = { scheduledCompactRev: -1, finishedCompactRev: -1 };
  readonly #pageSize: number;
  readonly #live: number;

  constructor(bytes: Uint8Array, isPlain: boolean) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#isPlain = isPlain;
    this.#pageSize = this.#u32(HEADER + 8);
    this.#live = this.#u64(HEADER + 48) > this.#u64(this.#pageSize + HEADER + 48) ? 0 : this.#pageSize;
  }

  #u16 = (at: number): number => this.#view.getUint16(at, true);
  #u32 = (at: number): number => this.#view.getUint32(at, true);
  #u64 = (at: number): number => Number(this.#view.getBigUint64(at, true));
  #text = (start: number, size: number): string =>
    Buffer.from(this.#bytes.subarray(start, start + size)).toString('latin1');

  run(): DatabaseMap {
    const pageLimit = this.#u64(this.#live + HEADER + 40);
    for (const page of [0, 1]) {
      this.#add(page * this.#pageSize, HEADER + 64, 'meta', page);
      this.#parents.set(page, page);
    }
    this.#tree(this.#u64(this.#live + HEADER + 16), 0, (element, page) => this.#rootElement(element, page));
    const hasFreelist = this.#view.getBigUint64(this.#live + HEADER + 32, true) !== 0xffff_ffff_ffff_ffffn;
    const freelist = hasFreelist ? this.#u64(this.#live + HEADER + 32) : undefined;
    if (freelist !== undefined) this.#freelist(freelist);
    const { scheduledCompactRev, finishedCompactRev } = this.#marks;
    return {
      isPlain: this.#isPlain,
      pageSize: this.#pageSize,
      pageLimit,
      regions: this.#withGaps(pageLimit),
      records: this.#records,
      parents: this.#parents,
      freelist,
      metaRowPage: this.#metaRowPage,
      compacted: Math.max(scheduledCompactRev, finishedCompactRev),
      isCompacting: scheduledCompactRev > finishedCompactRev,
    };
  }

  #add(start: number, size: number, kind: Kind, page: number, record?: number): void {
    if (size > 0)
      this.#regions.push({
        start,
        end: start + size,
        kind,
        page,
        ...(record === undefined ? {} : { record }),
      });
  }

  #claim(page: number, parent: number): void {
    const overflow = this.#u32(page * this.#pageSize + 12);
    for (let i = 0; i <= overflow; i++) this.#parents.set(page + i, i === 0 ? parent : page);
  }

  #tree(page: number, parent: number, visit: (element: Element, page: number) => void): void {
    const at = page * this.#pageSize;
    this.#claim(page, parent);
    this.#add(at, HEADER, 'page header', page);
    if (this.#u16(at + 8) === 2) {
      this.#leaf(at, page, visit);
      return;
    }
    for (let i = 0; i < this.#u16(at + 10); i++) {
      const element = at + HEADER + ELEMENT * i;
      this.#add(element, ELEMENT, 'branch element', page);
      this.#add(element + this.#u32(element), this.#u32(element + 4), 'branch key', page);
      this.#tree(this.#u64(element + 8), page, visit);
    }
  }

  #leaf(at: number, page: number, visit: (element: Element, page: number) => void): void {
    for (let i = 0; i < this.#u16(at + 10); i++) {
      const element = at + HEADER + ELEMENT * i;
      this.#add(element, ELEMENT, 'leaf element', page);
      const keyStart = element + this.#u32(element + 4);
      const keySize = this.#u32(element + 8);
      const valueEnd = keyStart + keySize + this.#u32(element + 12);
      visit({ flags: this.#u32(element), keyStart, keySize, valueEnd }, page);
    }
  }

  #rootElement({ keyStart, keySize, valueEnd }: Element, page: number): void {
    const label = this.#text(keyStart, keySize);
    const valueStart = keyStart + keySize;
    this.#add(keyStart, keySize, this.#isPlain ? 'plain key' : 'bucket name', page);
    this.#add(valueStart, 16, 'bucket header', page);
    const root = this.#u64(valueStart);
    const visit = (element: Element, at: number): void => this.#row(label, element, at);
    if (root !== 0) {
      this.#tree(root, page, visit);
      return;
    }
    this.#add(valueStart + 16, HEADER, 'page header', page);
    if (valueEnd > valueStart + 32) this.#leaf(valueStart + 16, page, visit);
  }

  #row(label: string, element: Element, page: number): void {
    const { keyStart, keySize, valueEnd } = element;
    const valueStart = keyStart + keySize;
    const value = (kind: Kind): void => this.#add(valueStart, valueEnd - valueStart, kind, page);
    const key = (kind: Kind): void => this.#add(keyStart, keySize, kind, page);
    if (this.#isPlain) {
      key('plain key');
      value('row value');
    } else if (label === 'key') {
      this.#record(element, page);
    } else if (ROW_MESSAGES[label]) {
      key('row key');
      this.#message(valueStart, valueEnd, page, ROW_MESSAGES[label]);
    } else {
      key(label === 'alarm' ? 'alarm' : label === 'members_removed' ? 'removed member' : 'row key');
      const name = this.#text(keyStart, keySize);
      if (label === 'meta') this.#metaRowPage = page;
      const isMark = name === 'scheduledCompactRev' || name === 'finishedCompactRev';
      if (isMark) this.#marks[name] = Number(this.#view.getBigUint64(valueStart));
      value(isMark ? 'compaction mark' : 'row value');
    }
  }

  #record({ keyStart, keySize, valueEnd }: Element, page: number): void {
    const valueStart = keyStart + keySize;
    const index = this.#records.length;
    this.#add(keyStart, keySize, 'revision key', page, index);
    const numbers = [0, 0, 0, 0, 0];
    let userKey = '';
    for (const field of fieldsOf(this.#bytes, valueStart, valueEnd)) {
      this.#add(field.start, field.contentStart - field.start, 'record tag', page, index);
      this.#add(field.contentStart, field.end - field.contentStart, RECORD_KINDS[field.number]!, page, index);
      if (field.number === 1) userKey = this.#text(field.contentStart, field.end - field.contentStart);
      else numbers[field.number] = field.value;
    }
    const main = Number(this.#view.getBigUint64(keyStart));
    const previous = this.#newest.get(userKey);
    const span: RecordSpan = {
      page,
      keyStart,
      keySize,
      valueStart,
      valueEnd,
      main,
      isTombstone: keySize === 18,
      create: numbers[2]!,
      version: numbers[4]!,
      userKey,
      hasPrevious: previous !== undefined,
    };
    if (previous) previous.next = span;
    this.#newest.set(userKey, span);
    this.#records.push(span);
  }

  #message(start: number, end: number, page: number, fields: Fields): void {
    for (const field of fieldsOf(this.#bytes, start, end)) {
      this.#add(field.start, field.contentStart - field.start, 'row tag', page);
      const inner = fields[field.number];
      if (inner) this.#message(field.contentStart, field.end, page, inner);
      else this.#add(field.contentStart, field.end - field.contentStart, 'row value', page);
    }
  }

  #freelist(page: number): void {
    const at = page * this.#pageSize;
    this.#claim(page, 0);
    const count = this.#u16(at + 10) === 0xffff ? this.#u64(at + HEADER) + 1 : this.#u16(at + 10);
    this.#add(at, HEADER + 8 * count, 'freelist', page);
  }

  /** What no structure covers: rests of used pages, free pages, and what lies behind the high-water mark. */
  #withGaps(pageLimit: number): Region[] {
    const filled: Region[] = [];
    let at = 0;
    const fillTo = (end: number): void => {
      while (at < end) {
        const page = Math.floor(at / this.#pageSize);
        const stop = Math.min(end, (page + 1) * this.#pageSize);
        const kind = page >= pageLimit ? 'tail' : this.#parents.has(page) ? 'unused' : 'free page';
        filled.push({ start: at, end: stop, kind, page });
        at = stop;
      }
    };
    for (const region of this.#regions.sort((a, b) => a.start - b.start)) {
      fillTo(region.start);
      filled.push(region);
      at = region.end;
    }
    fillTo(this.#bytes.length);
    return filled;
  }
}

interface ProtoField {
  number: number;
  /** Of the tag. */
  start: number;
  /** Behind tag and length. */
  contentStart: number;
  end: number;
  value: number;
}

/** The fields of a well-formed message of varints and length-delimited fields. */
export function* fieldsOf(bytes: Uint8Array, start: number, end: number): Generator<ProtoField> {
  let at = start;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < end) {
    const from = at;
    const tag = varint();
    const isBytes = (tag & 7) === 2;
    const contentStart = isBytes ? undefined : at;
    const value = varint();
    const from2 = contentStart ?? at;
    if (isBytes) at += value;
    yield { number: tag >>> 3, start: from, contentStart: from2, end: at, value };
  }
}
