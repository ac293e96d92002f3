/** What to do to a database: blind damage, and damage aimed at one field of its structure. */
import { fnv64 } from '../../src/bytes/fnv64.ts';
import {
  changedOffsets,
  changeField,
  cut,
  type Edit,
  flipBit,
  type Random,
  swapUnits,
  zeroUnit,
} from '../support/mutate.ts';
import type { Base } from './bases.ts';
import type { Kind, Region } from './database-map.ts';

const SECTOR_SIZE = 512;
const META_AT = 16;
const META_CHECKSUM_AT = META_AT + 56;

/** Fields of fixed structures: offset and size from the region's start. */
const FIELDS: Partial<Record<Kind, ReadonlyArray<readonly [at: number, size: number]>>> = {
  'page header': [
    [0, 8],
    [8, 2],
    [10, 2],
    [12, 4],
  ],
  'leaf element': [
    [0, 4],
    [4, 4],
    [8, 4],
    [12, 4],
  ],
  'branch element': [
    [0, 4],
    [4, 4],
    [8, 8],
  ],
  'bucket header': [
    [0, 8],
    [8, 8],
  ],
  'revision key': [
    [0, 8],
    [8, 1],
    [9, 8],
  ],
  meta: [
    [0, 8],
    [8, 2],
    [10, 2],
    [12, 4],
    [16, 4],
    [20, 4],
    [24, 4],
    [28, 4],
    [32, 8],
    [40, 8],
    [48, 8],
    [56, 8],
    [64, 8],
    [72, 8],
  ],
};

/** One mutation that changes something; the same for the same `random`. */
export function editOf(random: Random, base: Base): Edit {
  for (;;) {
    const edit = anyEdit(random, base);
    if (edit.size !== undefined || changedOffsets(base.bytes, edit).length > 0) return edit;
  }
}

function anyEdit(random: Random, base: Base): Edit {
  const { bytes, map } = base;
  const whole = { start: 0, end: bytes.length };
  const dice = random.below(100);
  if (dice < 15) return flipBit(random, bytes, whole);
  if (dice < 25) return cut(random, whole);
  if (dice < 30) return zeroUnit(random, bytes.length, map.pageSize);
  if (dice < 36) return zeroUnit(random, bytes.length, SECTOR_SIZE);
  if (dice < 41) return swapUnits(random, bytes, map.pageSize);
  if (dice < 46) return swapUnits(random, bytes, SECTOR_SIZE);
  return aimedEdit(random, base);
}

/** Kinds come up equally often, however few bytes they have. */
export function aimedEdit(random: Random, { bytes, map }: Pick<Base, 'bytes' | 'map'>): Edit {
  const kinds = [...new Set(map.regions.map(({ kind }) => kind))];
  const kind = random.pick(kinds);
  const region = random.pick(map.regions.filter((one) => one.kind === kind));
  if (random.chance(0.3)) return flipBit(random, bytes, region);
  const field = fieldOf(random, region);
  if (random.chance(0.2)) return copyField(random, bytes, region, map.regions, field);
  const edit = changeField(random, bytes, field);
  const { patches } = edit;
  return { what: edit.what, patches };
}

interface Span {
  start: number;
  end: number;
}

function fieldOf(random: Random, region: Region): Span {
  const fields = FIELDS[region.kind]?.filter(([at, size]) => region.start + at + size <= region.end);
  if (!fields)
    return region.end - region.start > 64 ? { start: region.start, end: region.start + 64 } : region;
  const [at, size] = random.pick(fields);
  return { start: region.start + at, end: region.start + at + size };
}

/** The same field of another structure of its kind: plausible, and wrong. */
function copyField(
  random: Random,
  bytes: Uint8Array,
  region: Region,
  regions: readonly Region[],
  field: Span,
): Edit {
  const size = field.end - field.start;
  const others = regions.filter(
    (one) => one.kind === region.kind && one.end - one.start >= field.end - region.start,
  );
  const from = random.pick(others).start + field.start - region.start;
  return { what: 'copy field', patches: [{ offset: field.start, bytes: bytes.slice(from, from + size) }] };
}

/** A meta with one field changed and a right checksum: what bbolt would believe. */
export function metaEdit(random: Random, { bytes, map }: Base): Edit {
  const at = random.below(2) * map.pageSize;
  const [fieldAt, size] = random.pick(
    FIELDS.meta!.filter(([start]) => start >= META_AT && start < META_CHECKSUM_AT),
  );
  const field = changeField(random, bytes, { start: at + fieldAt, end: at + fieldAt + size }).patches[0]!;
  const record = bytes.slice(at + META_AT, at + META_AT + 64);
  record.set(field.bytes, field.offset - at - META_AT);
  new DataView(record.buffer).setBigUint64(56, fnv64(record, 0, 56), true);
  return { what: 'meta with a right checksum', patches: [{ offset: at + META_AT, bytes: record }] };
}
