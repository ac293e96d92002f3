/** Damage aimed at one field of a segment: length words, record types, checksums, tags, lengths, padding. */
import { changeField, type Edit, flipBit, type Random } from '../support/mutate.ts';
import type { LogKind, LogMap, LogRegion } from './log-map.ts';

const KINDS: readonly LogKind[] = ['frame word', 'head', 'head', 'data', 'padding'];
/** In the head: `08 type 10 crc`. */
const TYPE_AT = 1;

export function aimedLogEdit(random: Random, bytes: Uint8Array, { regions }: LogMap): Edit {
  const kind = random.pick(KINDS);
  const candidates = regions.filter((region) => region.kind === kind);
  const region = random.pick(candidates.length > 0 ? candidates : regions);
  if (random.chance(0.4)) return flipBit(random, bytes, region);
  if (kind === 'head') return headEdit(random, bytes, region, candidates);
  const end = Math.min(region.end, region.start + 32);
  return changeField(random, bytes, { start: region.start, end });
}

/** A record of another type, with another's checksum, or with any byte around them changed. */
function headEdit(random: Random, bytes: Uint8Array, region: LogRegion, others: readonly LogRegion[]): Edit {
  const dice = random.below(3);
  if (dice === 0) {
    return {
      what: 'record type',
      patches: [{ offset: region.start + TYPE_AT, bytes: Uint8Array.of(random.below(8)) }],
    };
  }
  if (dice === 1) {
    const size = region.end - region.start;
    const other = random.pick(others.filter((one) => one.end - one.start === size));
    return {
      what: 'copy head',
      patches: [{ offset: region.start, bytes: bytes.slice(other.start, other.end) }],
    };
  }
  const at = region.start + random.below(region.end - region.start);
  return changeField(random, bytes, { start: at, end: at + 1 });
}
