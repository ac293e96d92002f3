/** What a command has to say, as data for any of the four printers. */

/** What Go's encoder would be given. */
export type JsonValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined };

/** One value, under the name each format has for it. A format for which it has no name leaves it out. */
export interface Item {
  value: JsonValue;
  /** Key in `json`. */
  json?: string;
  /** Name in `fields`. */
  field?: string;
  /** Heading in `table`; also puts the value into `simple`. */
  column?: string;
  /** Text in `table` and `simple` where it differs from the value. */
  cell?: string;
}

/** One thing reported on. */
export type Entry = readonly Item[];

export interface Report {
  entries: readonly Entry[];
  /** Whether `json` prints a list even of one entry. */
  isList?: boolean;
}

/** Text of a value as Go's `fmt.Sprint` has it. */
export function plainText(value: JsonValue): string {
  if (value === null) return '<nil>';
  if (Array.isArray(value)) return `[${value.map((item: JsonValue) => plainText(item)).join(' ')}]`;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

export function cellText(item: Item): string {
  return item.cell ?? plainText(item.value);
}
