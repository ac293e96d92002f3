/** JSON byte for byte as Go's `encoding/json` writes it, on one line. */
import type { Entry, JsonValue, Report } from './report.ts';

/** Between items and after keys: `encoding/json` puts nothing there, zap's console a blank. */
export interface JsonSpacing {
  isSpaced?: boolean;
}

export function printJson(report: Report): string {
  const values = report.entries.map(entryValue);
  const value = report.isList || values.length !== 1 ? values : values[0]!;
  return `${encodeJson(value)}\n`;
}

function entryValue(entry: Entry): JsonValue {
  const fields: Record<string, JsonValue> = {};
  for (const item of entry) if (item.json !== undefined) fields[item.json] = item.value;
  return fields;
}

export function encodeJson(value: JsonValue, spacing: JsonSpacing = {}): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return encodeString(value, !spacing.isSpaced);
  if (typeof value !== 'object') return String(value);

  const comma = spacing.isSpaced ? ', ' : ',';
  if (Array.isArray(value)) {
    return `[${value.map((item: JsonValue) => encodeJson(item, spacing)).join(comma)}]`;
  }
  const colon = spacing.isSpaced ? ': ' : ':';
  const fields: string[] = [];
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    fields.push(`${encodeString(key, !spacing.isSpaced)}${colon}${encodeJson(item as JsonValue, spacing)}`);
  }
  return `{${fields.join(comma)}}`;
}

/** `encoding/json` escapes what HTML gives a meaning, and two line ends of JavaScript; zap does not. */
function encodeString(text: string, escapesHtml: boolean): string {
  const json = JSON.stringify(text.replace(/\p{Surrogate}/gu, '\ufffd'));
  return escapesHtml ? json.replace(/[<>&\u2028\u2029]/g, unicodeEscape) : json;
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
