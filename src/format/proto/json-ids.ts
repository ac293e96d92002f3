/**
 * JSON with 64-bit ids: a strict reader that gives a bigint for every integer a JavaScript number cannot hold,
 * and a writer whose bytes are those of Go's encoding/json. Nesting is limited; `__proto__` is a name like any.
 */
import { CorruptError, type Where } from '../../errors.ts';

export type JsonValue = null | boolean | number | bigint | string | JsonValue[] | JsonObject;
export interface JsonObject {
  [key: string]: JsonValue | undefined;
}

const DEPTH_MAX = 1000;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
// oxlint-disable-next-line no-control-regex
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const SPACE = /[ \t\r\n]*/y;
const HEX4 = /[0-9a-fA-F]{4}/y;
const UNESCAPED: Record<string, string> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};
const LITERALS = { true: true, false: false, null: null } as const;

/** Parses all of `input`. Of a name that comes twice the last one counts. Throws `json.malformed`. */
export function parseJson(input: Uint8Array | string, where: Where = {}): JsonValue {
  let text: string;
  try {
    text = typeof input === 'string' ? input : utf8.decode(input);
  } catch (cause) {
    throw new CorruptError('json.malformed', 'JSON is not UTF-8', { where, cause });
  }
  const reader = new Reader(text, where);
  const value = reader.value(0);
  reader.end();
  return value;
}

class Reader {
  readonly #text: string;
  readonly #where: Where;
  #at = 0;

  constructor(text: string, where: Where) {
    this.#text = text;
    this.#where = where;
  }

  #fail(expected: string): never {
    const found = this.#at < this.#text.length ? JSON.stringify(this.#text[this.#at]) : 'the end';
    throw new CorruptError(
      'json.malformed',
      `JSON: expected ${expected} at character ${this.#at}, found ${found}`,
      {
        where: this.#where,
      },
    );
  }

  /** What `pattern` matches here, which may be nothing. */
  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }

  #take(character: string): boolean {
    this.#match(SPACE);
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  value(depth: number): JsonValue {
    if (depth > DEPTH_MAX) this.#fail(`no more than ${DEPTH_MAX} levels`);
    if (this.#take('{')) return this.#object(depth);
    if (this.#take('[')) return this.#array(depth);
    if (this.#take('"')) return this.#string();
    for (const [word, value] of Object.entries(LITERALS)) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return value;
    }
    return this.#number();
  }

  #number(): number | bigint {
    NUMBER.lastIndex = this.#at;
    const found = NUMBER.exec(this.#text);
    if (!found) this.#fail('a value');
    this.#at += found[0].length;
    const number = Number(found[0]);
    const isInteger = found[1] === undefined && found[2] === undefined;
    return isInteger && !Number.isSafeInteger(number) ? BigInt(found[0]) : number;
  }

  #string(): string {
    let text = '';
    for (;;) {
      text += this.#match(PLAIN);
      const next = this.#text[this.#at];
      if (next === '"') {
        this.#at++;
        return text;
      }
      if (next !== '\\') this.#fail('the end of a string');
      this.#at++;
      text += this.#escape();
    }
  }

  #escape(): string {
    const letter = this.#text[this.#at] ?? '';
    const plain = UNESCAPED[letter];
    if (plain === undefined && letter !== 'u') this.#fail('an escape');
    this.#at++;
    if (plain !== undefined) return plain;
    const hex = this.#match(HEX4);
    if (hex === '') this.#fail('four hex digits');
    return String.fromCharCode(Number.parseInt(hex, 16));
  }

  #array(depth: number): JsonValue[] {
    const items: JsonValue[] = [];
    if (this.#take(']')) return items;
    do items.push(this.value(depth + 1));
    while (this.#take(','));
    if (!this.#take(']')) this.#fail('"," or "]"');
    return items;
  }

  #object(depth: number): JsonObject {
    const object = Object.create(null) as JsonObject;
    if (this.#take('}')) return object;
    do {
      if (!this.#take('"')) this.#fail('a name');
      const name = this.#string();
      if (!this.#take(':')) this.#fail('":"');
      object[name] = this.value(depth + 1);
    } while (this.#take(','));
    if (!this.#take('}')) this.#fail('"," or "}"');
    return object;
  }

  end(): void {
    this.#match(SPACE);
    if (this.#at < this.#text.length) this.#fail('the end');
  }
}

/** What Go escapes: control characters, HTML's special ones, and JavaScript's line separators. */
// oxlint-disable-next-line no-control-regex
const SPECIAL = /["\\\u0000-\u001f<>&\u2028\u2029]/g;
const ESCAPED: Record<string, string> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

function quote(text: string): string {
  const escape = (c: string): string => ESCAPED[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return `"${text.replace(SPECIAL, escape)}"`;
}

/** What can be written; a map keeps its order also where names look like numbers. */
export type JsonInput =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly JsonInput[]
  | ReadonlyMap<string, JsonInput>
  | { readonly [key: string]: JsonInput | undefined };

/** As Go's encoding/json writes it, without spaces. Members that are undefined are left out. */
export function stringifyJson(value: JsonInput): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return quote(value);
  if (typeof value !== 'object') return String(value);
  if (isList(value)) return `[${value.map(stringifyJson).join(',')}]`;
  const members: string[] = [];
  for (const [name, member] of value instanceof Map ? value : Object.entries(value)) {
    if (member !== undefined) members.push(`${quote(name)}:${stringifyJson(member)}`);
  }
  return `{${members.join(',')}}`;
}

function isList(value: JsonInput): value is readonly JsonInput[] {
  return Array.isArray(value);
}
