/**
 * Protobuf's outer shape: tags, wire types, and stepping over fields nobody asked for. Knows no message.
 * Every length is checked against its container before it is used, and groups nest only so deep.
 */
import { CorruptError } from '../../errors.ts';
import type { Cursor } from '../../bytes/cursor.ts';
import type { Writer } from '../../bytes/writer.ts';

/** How a field's bytes are delimited. 3 and 4 are proto2 groups, which etcd never writes. */
export const WIRE_TYPE = {
  varint: 0,
  fixed64: 1,
  bytes: 2,
  groupStart: 3,
  groupEnd: 4,
  fixed32: 5,
} as const;

export type WireType = (typeof WIRE_TYPE)[keyof typeof WIRE_TYPE];

/** Messages inside each other; transactions nest by the client's choice, so there must be an end. */
export const DEPTH_MAX = 100;

const TAG_LIMIT = 2 ** 32;

/** A field's tag: `number << 3 | wire type`, below 2^32. Throws `CorruptError` on field number 0. */
export function readTag(cursor: Cursor): number {
  const at = cursor.at;
  const tag = cursor.varintNumber();
  if (tag >= TAG_LIMIT || tag < 8) {
    throw new CorruptError('proto.malformed', `${tag} is no field tag`, { where: cursor.where(at) });
  }
  return tag;
}

export function writeTag(writer: Writer, number: number, type: WireType): void {
  writer.varint(number * 8 + type);
}

/** The end of a length-delimited field whose length comes next, an index into the cursor's bytes. */
export function readEnd(cursor: Cursor): number {
  const at = cursor.at;
  const size = cursor.varintNumber();
  if (size > cursor.remaining) {
    throw new CorruptError(
      'proto.malformed',
      `a field claims ${size} bytes, but only ${cursor.remaining} are left`,
      { where: cursor.where(at) },
    );
  }
  return cursor.at + size;
}

/** Steps over the content of a field whose `tag` was just read. */
export function skipField(cursor: Cursor, tag: number): void {
  if ((tag & 7) === WIRE_TYPE.groupStart) skipGroup(cursor, tag);
  else skipPlain(cursor, tag);
}

function skipPlain(cursor: Cursor, tag: number): void {
  switch (tag & 7) {
    case WIRE_TYPE.varint:
      cursor.varint();
      return;
    case WIRE_TYPE.fixed64:
      cursor.skip(8);
      return;
    case WIRE_TYPE.bytes:
      cursor.at = readEnd(cursor);
      return;
    case WIRE_TYPE.fixed32:
      cursor.skip(4);
      return;
    default:
      throw new CorruptError('proto.malformed', `field ${tag >>> 3} has wire type ${tag & 7}`, {
        where: cursor.where(),
      });
  }
}

/**
 * Groups nest as deep as they please, as for etcd: what a client sends as an unknown field ends in the log, inside
 * another message, and must be read there too.
 */
function skipGroup(cursor: Cursor, start: number): void {
  const open = [start >>> 3];
  while (open.length > 0) {
    const tag = readTag(cursor);
    if ((tag & 7) === WIRE_TYPE.groupStart) open.push(tag >>> 3);
    else if ((tag & 7) !== WIRE_TYPE.groupEnd) skipPlain(cursor, tag);
    else {
      const group = open.pop()!;
      if (tag >>> 3 === group) continue;
      throw new CorruptError('proto.malformed', `group ${group} ends as group ${tag >>> 3}`, {
        where: cursor.where(),
      });
    }
  }
}

/** Throws when messages nest deeper than `DEPTH_MAX`. */
export function checkDepth(cursor: Cursor, depth: number): void {
  if (depth <= DEPTH_MAX) return;
  throw new CorruptError('proto.malformed', `messages nest more than ${DEPTH_MAX} deep`, {
    where: cursor.where(),
  });
}
