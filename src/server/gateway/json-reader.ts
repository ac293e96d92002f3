/**
 * Reads the tokens of one JSON value whose grammar has been checked, so that commas and colons say nothing more. What is
 * wrong within a token is said in the words of Go's protojson, with line and column.
 */
import { RpcError, STATUS } from '../../rpc/status.ts';

export type TokenKind = '{' | '}' | '[' | ']' | 'text' | 'number' | 'bool' | 'null' | 'end';

export interface Token {
  kind: TokenKind;
  /** As it is written. */
  raw: string;
  /** Of `text`: what it stands for; of others as `raw`. */
  value: string;
  /** Where it begins. */
  at: number;
}

/** White space, and what stands between tokens. */
const FILL = new Set(Array.from(' \t\n\r,:', (character) => character.charCodeAt(0)));
const SCALAR = /[-+.\w]+/y;
const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|.)/gs;
/** What stands for bytes that are not UTF-8. */
const REPLACEMENT = '\u{fffd}';
const ESCAPE_LENGTH = 6;

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder('utf-8', { ignoreBOM: true });

/** An error of protojson. It puts a blank behind the colon that differs from build to build; ours is a plain one. */
export function protoError(message: string): RpcError {
  return new RpcError(STATUS.invalidArgument, `proto: ${message}`);
}

export class JsonReader {
  readonly #text: string;
  /** Whether some of it is not UTF-8. */
  readonly #isDamaged: boolean;
  #at = 0;

  constructor(bytes: Uint8Array) {
    let text: string | undefined;
    try {
      text = strict.decode(bytes);
    } catch {
      // The text with the damage in it is named when it is read.
    }
    this.#isDamaged = text === undefined;
    this.#text = text ?? lenient.decode(bytes);
  }

  /** The kind of the next token. */
  peek(): TokenKind {
    while (FILL.has(this.#text.charCodeAt(this.#at))) this.#at++;
    const character = this.#text[this.#at];
    switch (character) {
      case undefined:
        return 'end';
      case '{':
      case '}':
      case '[':
      case ']':
        return character;
      case '"':
        return 'text';
      case 'n':
        return 'null';
      case 't':
      case 'f':
        return 'bool';
      default:
        return 'number';
    }
  }

  read(): Token {
    const kind = this.peek();
    const at = this.#at;
    if (kind === 'text') return this.#readText(at);
    if (kind === 'number' || kind === 'bool' || kind === 'null') {
      SCALAR.lastIndex = at;
      SCALAR.test(this.#text);
      this.#at = SCALAR.lastIndex;
    } else if (kind !== 'end') this.#at++;
    const raw = this.#text.slice(at, this.#at);
    return { kind, raw, value: raw, at };
  }

  /** Reads a value away. */
  skip(): void {
    let depth = 0;
    do {
      const { kind } = this.read();
      if (kind === '{' || kind === '[') depth++;
      else if (kind === '}' || kind === ']') depth--;
    } while (depth > 0);
  }

  /** An error at a place. */
  error(at: number, message: string, isSyntax = false): RpcError {
    const before = this.#text.slice(0, at);
    const line = before.split('\n').length;
    const column = Array.from(before.slice(before.lastIndexOf('\n') + 1)).length + 1;
    return protoError(`${isSyntax ? 'syntax error ' : ''}(line ${line}:${column}): ${message}`);
  }

  unexpected({ at, raw }: Token): RpcError {
    return this.error(at, `unexpected token ${raw}`, true);
  }

  #readText(at: number): Token {
    let end = at;
    do end = this.#text.indexOf('"', end + 1);
    while (this.#isEscaped(end));
    this.#at = end + 1;
    const raw = this.#text.slice(at, this.#at);
    if (this.#isDamaged && raw.includes(REPLACEMENT)) throw this.error(at, 'invalid UTF-8 in string', true);
    if (!raw.includes('\\')) return { kind: 'text', raw, value: raw.slice(1, -1), at };
    this.#checkSurrogates(raw, at);
    return { kind: 'text', raw, value: JSON.parse(raw) as string, at };
  }

  #isEscaped(at: number): boolean {
    let backslashes = 0;
    while (this.#text[at - 1 - backslashes] === '\\') backslashes++;
    return backslashes % 2 === 1;
  }

  /** Halves of characters must come in pairs; protojson blames what stands where the second one should. */
  #checkSurrogates(raw: string, at: number): void {
    let second = -1;
    for (const { 1: digits, index } of raw.matchAll(ESCAPE)) {
      if (digits === undefined || index === second) continue;
      const unit = Number.parseInt(digits, 16);
      if (unit < 0xd800 || unit > 0xdfff) continue;
      second = index + ESCAPE_LENGTH;
      const next = this.#text.slice(at + second, at + second + ESCAPE_LENGTH);
      if (next.length < ESCAPE_LENGTH) throw protoError('unexpected EOF');
      const isPair = unit < 0xdc00 && /^\\ud[c-f][0-9a-f]{2}$/i.test(next);
      if (!isPair) throw this.error(at, `invalid escape code ${JSON.stringify(next)} in string`, true);
    }
  }
}
