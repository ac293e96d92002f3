/**
 * What must be found. An edit that changes structure must be, and the finding must name the page, or the one above
 * or below it; an edit of payload alone may pass. What cannot be known stands in one table, each with its proof.
 */
import assert from 'node:assert/strict';
import type { VerifyReport } from '../../src/check/report.ts';
import type { Finding } from '../../src/errors.ts';
import { changedOffsets, type Edit } from '../support/mutate.ts';
import {
  type DatabaseMap,
  fieldsOf,
  type Kind,
  type RecordSpan,
  type Region,
  regionAt,
  STRUCTURE,
} from './database-map.ts';

/** A damaged database beside the sound one. */
export interface Case {
  map: DatabaseMap;
  before: Uint8Array;
  after: Uint8Array;
  /** Structural regions that were changed, each with the first and last changed byte. */
  hits: Hit[];
}

interface Hit {
  region: Region;
  first: number;
  last: number;
}

interface Exemption {
  name: string;
  kinds: readonly Kind[];
  /** Why no reader of the file can know. */
  proof: string;
  holds(hit: Hit, of: Case): boolean;
}

/**
 * Changes of structure that leave a database some healthy server could have written. An entry holds only for the
 * very bytes at hand, so that it excuses nothing else.
 */
export const EXEMPTIONS: readonly Exemption[] = [
  {
    name: 'first record after a compaction',
    kinds: ['create_revision', 'version'],
    proof:
      'the records that would contradict create_revision and version were deleted by the compaction, and no later ' +
      'record of this generation repeats them; a key written at any revision between could have got here',
    holds: ({ region }, { map }) => {
      const record = recordOf(map, region);
      const isRepeated = record.next !== undefined && !record.next.isTombstone;
      return record.main <= map.compacted && !record.hasPrevious && record.version > 1 && !isRepeated;
    },
  },
  {
    name: 'sub revision below a compaction',
    kinds: ['revision key'],
    proof:
      'mod_revision repeats the main revision only; the other changes of the transaction, which would give this one ' +
      'its number, may have been compacted away',
    holds: ({ region, first }, { map }) =>
      recordOf(map, region).main <= map.compacted && first >= region.start + 9,
  },
  {
    name: 'tombstone under a pending compaction',
    kinds: ['revision key'],
    proof:
      'a tombstone holds nothing but its key, so nothing repeats its revision; below the scheduled revision some ' +
      'records may be deleted already, so a gap there means nothing until the compaction is finished',
    holds: ({ region }, { map }) => {
      const record = recordOf(map, region);
      return record.isTombstone && map.isCompacting && record.main <= map.compacted;
    },
  },
  {
    name: 'value and lease trade bytes',
    kinds: ['record tag'],
    proof:
      'the length of the value was changed so that the bytes up to the end of the record read as a lease, or no ' +
      'longer do: value and lease are payload, and the rest of the record is as it was',
    holds: ({ region }, { map, after }) => readsAsSameRecord(recordOf(map, region), after),
  },
  {
    name: 'pointer to another whole tree',
    kinds: ['branch element', 'bucket header'],
    proof:
      'it leads to an intact page that nothing else leads to: an unused one, left from an earlier transaction, or one ' +
      'below the right one. A tree is what its pointers lead to; without a stored freelist all other pages are free, ' +
      'and a history may end at any revision',
    holds: ({ region, first }, { map, before, after }) => {
      const start = region.kind === 'bucket header' ? region.start : region.start + 8;
      const target = pointerAt(after, start);
      const isUnused = !map.parents.has(target) || isBelow(map, target, pointerAt(before, start));
      return map.freelist === undefined && first >= start && isUnused;
    },
  },
  {
    name: 'zeros at the end of a page',
    kinds: ['leaf element'],
    proof:
      'the last element of a page was made longer over the zeros behind it, or shorter by its own; where its key ends ' +
      'and its value begins is its own affair. In a database of etcd neither is, but this one is not of etcd',
    holds: ({ region, first }, { map, before, after }) => {
      const [from, to] = [valueEnd(before, region), valueEnd(after, region)].sort((a, b) => a - b);
      return map.isPlain && first >= region.start + 8 && after.subarray(from, to).every((byte) => byte === 0);
    },
  },
  {
    name: 'no buckets at all',
    kinds: ['page header'],
    proof:
      'the root page counts no elements, as in a new file; that a database of etcd has buckets is known to the schema ' +
      'layer, and finds it there, but this one is not of etcd',
    holds: ({ region, first, last }, { map, after }) =>
      map.isPlain &&
      map.parents.get(region.page) === 0 &&
      first >= region.start + 10 &&
      last < region.start + 12 &&
      after[region.start + 10] === 0 &&
      after[region.start + 11] === 0,
  },
  {
    name: 'spare overflow page',
    kinds: ['page header'],
    proof:
      'the content ends on the edge of a page; older bbolt then takes one page more than it needs, which is what ' +
      'this page now says of the free page behind it',
    holds: ({ region, first }, { map, before, after }) =>
      first >= region.start + 12 &&
      new DataView(after.buffer, after.byteOffset).getUint32(region.start + 12, true) ===
        new DataView(before.buffer, before.byteOffset).getUint32(region.start + 12, true) + 1 &&
      usedSize(before, region) % map.pageSize === 0,
  },
];

const pointerAt = (bytes: Uint8Array, at: number): number =>
  Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at, true));

function isBelow(map: DatabaseMap, page: number, ancestor: number): boolean {
  for (let at = page; at > 1; at = map.parents.get(at)!) if (at === ancestor) return true;
  return false;
}

const recordOf = (map: DatabaseMap, region: Region): RecordSpan => map.records[region.record!]!;

/** Whether a record decodes, in order and without zeros, to the key, revisions and version that it had. */
function readsAsSameRecord(record: RecordSpan, after: Uint8Array): boolean {
  const seen: number[] = [];
  for (const field of fieldsOf(after, record.valueStart, record.valueEnd)) {
    const isNew = field.number > (seen.at(-1) ?? 0) && field.number <= 6;
    if (!isNew || field.end > record.valueEnd) return false;
    seen.push(field.number);
    const content = Buffer.from(after.subarray(field.contentStart, field.end)).toString('latin1');
    const expected = [undefined, record.userKey, record.create, record.main, record.version][field.number];
    if (expected !== undefined && expected !== (field.number === 1 ? content : field.value)) return false;
  }
  return [1, 2, 3, 4].every((number) => record.isTombstone || seen.includes(number));
}

function valueEnd(bytes: Uint8Array, { start }: Region): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const sizes = view.getUint32(start + 8, true) + view.getUint32(start + 12, true);
  return start + view.getUint32(start + 4, true) + sizes;
}

function usedSize(bytes: Uint8Array, { start }: Region): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const isBranch = view.getUint16(start + 8, true) === 1;
  const last = start + 16 * view.getUint16(start + 10, true);
  const fields = isBranch ? [0, 4] : [4, 8, 12];
  return last - start + fields.reduce((sum, at) => sum + view.getUint32(last + at, true), 0);
}

/** What an edit touches, and what follows for the checks. */
export interface Judgement {
  /** For the histogram. */
  label: string;
  isStructural: boolean;
  /** Pages a finding may name. */
  pages: Set<number>;
  /** Any page may be named: what is wrong with a freelist is said of the pages in it. */
  isAnyPage: boolean;
  case: Case;
}

/** `after` is as long as `before`: cuts are judged by their size alone. */
export function judge(map: DatabaseMap, before: Uint8Array, after: Uint8Array, edit: Edit): Judgement {
  const hits: Hit[] = [];
  const kinds = new Set<Kind>();
  const pages = new Set<number>();
  for (const offset of changedOffsets(before, edit).sort((a, b) => a - b)) {
    const region = regionAt(map, offset);
    kinds.add(region.kind);
    if (!(STRUCTURE as readonly Kind[]).includes(region.kind)) continue;
    const hit = hits.at(-1);
    if (hit?.region === region) hit.last = offset;
    else hits.push({ region, first: offset, last: offset });
  }
  const result: Case = { map, before, after, hits };
  for (const hit of hits) addPages(hit, result, pages);
  const isStructural = hits.length > 0;
  const label =
    kinds.size === 1 ? [...kinds][0]! : `${edit.what} over ${isStructural ? 'structure' : 'payload'}`;
  return { label, isStructural, pages, isAnyPage: kinds.has('freelist'), case: result };
}

/** The page itself, the one above, those below, and where else a contradiction shows. */
function addPages({ region }: Hit, { map, after }: Case, pages: Set<number>): void {
  const { page, kind } = region;
  pages.add(page).add(map.parents.get(page) ?? page);
  for (const [child, parent] of map.parents) if (parent === page) pages.add(child);
  const view = new DataView(after.buffer, after.byteOffset);
  if (kind === 'bucket header') pages.add(pointerAt(after, region.start));
  if (kind === 'branch element') pages.add(pointerAt(after, region.start + 8));
  if (kind === 'page header') {
    const overflow = view.getUint32(region.start + 12, true);
    for (let i = 1; i <= Math.min(overflow, map.pageLimit); i++) pages.add(page + i);
  }
  if (region.record !== undefined) {
    const { next, main } = map.records[region.record]!;
    if (main === map.compacted) pages.add(map.metaRowPage);
    if (next) pages.add(next.page);
    pages.add(map.records[region.record + 1]?.page ?? page);
  }
}

/** The damage among `findings` that names a page it may name. */
export function findsIt(judgement: Judgement, findings: readonly Finding[]): boolean {
  return findings.some(({ severity, where }) => {
    if (severity === 'note') return false;
    if (judgement.isAnyPage) return true;
    const page = /^page (\d+)$/.exec(where.unit ?? '')?.[1];
    return page !== undefined && judgement.pages.has(Number(page));
  });
}

/** The proofs that excuse every structural change of a case; undefined when one is not excused. */
export function excuses(of: Case): string[] | undefined {
  const names = new Set<string>();
  for (const hit of of.hits) {
    const exemption = EXEMPTIONS.find(
      ({ kinds, holds }) => kinds.includes(hit.region.kind) && holds(hit, of),
    );
    if (!exemption) return undefined;
    names.add(exemption.name);
  }
  return [...names];
}

/** What a mutation came to. */
export type Column = 'found' | 'excused' | 'passed';

interface Subject {
  bytes: Uint8Array;
  map: DatabaseMap;
}

const isDamaged = ({ verdict }: VerifyReport): boolean => verdict === 'DAMAGED' || verdict === 'UNREADABLE';

export const list = (findings: readonly Finding[]): string =>
  findings
    .slice(0, 4)
    .map(({ code, where, message }) => `${code} ${where.unit ?? '–'}: ${message}`)
    .join('; ');

/**
 * Holds a report against what had to be found where no checksum covers the file as a whole. Gives the column and the
 * row of the histogram; throws when something is missing.
 */
export function settle(
  subject: Subject,
  edit: Edit,
  judgement: Judgement,
  report: VerifyReport,
): [Column, string] {
  if (edit.size !== undefined) {
    const isOwed = !isCutHarmlessly(subject, edit.size);
    assert.ok(
      isDamaged(report) || !isOwed,
      `cut at ${edit.size} of ${subject.bytes.length}: ${report.verdict}`,
    );
    return [isDamaged(report) ? 'found' : 'passed', isOwed ? 'cut' : 'cut of the tail'];
  }
  const { label, isStructural, pages } = judgement;
  const findings = report.findings.filter(({ layer }) => layer !== 'file');
  if (report.verdict === 'UNREADABLE' || findsIt(judgement, findings)) return ['found', label];
  if (!isStructural) return [isDamaged(report) ? 'found' : 'passed', label];
  assert.ok(
    !isDamaged(report),
    `${label}: found, but on no page of ${[...pages].join(', ')}: ${list(findings)}`,
  );
  const proofs = excuses(judgement.case);
  assert.ok(proofs, `${label}: not found (${report.verdict})`);
  return ['excused', `${label}: ${proofs.join(', ')}`];
}

/** Whether a raw database still has all its pages, and none in part. */
function isCutHarmlessly({ map, bytes }: Subject, size: number): boolean {
  return size >= map.pageLimit * map.pageSize && (size % map.pageSize === 0 || size >= bytes.length);
}
