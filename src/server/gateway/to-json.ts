/**
 * Messages as the JSON that etcd's gateway writes: the schema's names in the schema's order, nothing that is zero, 64-bit
 * numbers as texts, bytes as base64, enums by name.
 */
import type { Field, Message } from '../../format/proto/field.ts';
import { messageOf, namesOf } from './json-names.ts';

type Loose = Readonly<Record<string, unknown>>;

/** The JSON of an encoded message. */
export function jsonOf(of: Message<unknown>, bytes: Uint8Array): string {
  return writeMessage(of, of.decode(bytes) as Loose);
}

function writeMessage(of: Message<unknown>, value: Loose): string {
  const members: string[] = [];
  for (const { key, field, textName } of namesOf(of).fields) {
    const part = value[key];
    if (!isWritten(field, part)) continue;
    const json = Array.isArray(part)
      ? `[${part.map((one) => writeOne(field, one)).join(',')}]`
      : writeOne(field, part);
    members.push(`"${textName}":${json}`);
  }
  return `{${members.join(',')}}`;
}

/** What may be absent is written whenever it is there, be it zero. */
function isWritten(field: Field, part: unknown): boolean {
  if (part === undefined) return false;
  if (field.presence === 'optional') return true;
  if (Array.isArray(part) || part instanceof Uint8Array) return part.length > 0;
  return part !== 0 && part !== 0n && part !== false && part !== '';
}

function writeOne(field: Field, value: unknown): string {
  if (field.holds !== undefined) return jsonOf(field.holds, value as Uint8Array);
  switch (field.kind) {
    case 'message':
      return writeMessage(messageOf(field), value as Loose);
    case 'bytes': {
      const { buffer, byteOffset, byteLength } = value as Uint8Array;
      return `"${Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString('base64')}"`;
    }
    case 'text':
      return JSON.stringify(value);
    case 'enum': {
      const name = field.names?.[value as number];
      return name === undefined ? String(value) : `"${name}"`;
    }
    case 'bool':
    case 'uint32':
      return String(value);
    default:
      return `"${String(value)}"`;
  }
}
