/** Just enough DER to walk through a structure: tag, length, content. Lengths are checked before anything is sliced. */
import { CorruptError } from '../../errors.ts';

export const TAG = { integer: 0x02, sequence: 0x30, utcTime: 0x17, generalizedTime: 0x18 } as const;

export interface DerElement {
  tag: number;
  /** Where the content begins, and ends. */
  start: number;
  end: number;
}

const malformed = (offset: number): CorruptError =>
  new CorruptError('server.tls', 'not the DER of a revocation list', { where: { offset } });

/** The element at `at`, which must end by `limit`. Throws `server.tls`. */
export function readElement(bytes: Uint8Array, at: number, limit = bytes.length): DerElement {
  if (at + 2 > limit) throw malformed(at);
  const tag = bytes[at]!;
  const first = bytes[at + 1]!;
  let start = at + 2;
  let length = first;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 4 || start + count > limit) throw malformed(at);
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + bytes[start + i]!;
    start += count;
  }
  if ((tag & 0x1f) === 0x1f || start + length > limit) throw malformed(at);
  return { tag, start, end: start + length };
}

/** The same, of one kind. */
export function readTagged(bytes: Uint8Array, at: number, limit: number, tag: number): DerElement {
  const element = readElement(bytes, at, limit);
  if (element.tag !== tag) throw malformed(at);
  return element;
}
