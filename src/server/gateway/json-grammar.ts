/**
 * The grammar of JSON, byte by byte: where a value ends, and what is wrong with bytes that are none, in the words of
 * Go's encoding/json, which users of etcd's gateway know. It keeps one bit for each container that is open, and no text.
 */

/** What a byte did. `before`: the value was over already, and the byte is not a part of it. */
export type Step = 'more' | 'done' | 'before';

/** Bytes that are not JSON. */
export interface Fault {
  fault: string;
}

const DEPTH_MAX = 10_000;

const code = (character: string): number => character.charCodeAt(0);
const QUOTE = code('"');
const BACKSLASH = code('\\');
const OPEN_BRACE = code('{');
const CLOSE_BRACE = code('}');
const OPEN_BRACKET = code('[');
const CLOSE_BRACKET = code(']');
const COMMA = code(',');
const COLON = code(':');
const MINUS = code('-');
const ZERO = code('0');
const DOT = code('.');
const FIRST_PRINTABLE = 0x20;

const LITERALS: ReadonlyMap<number, string> = new Map(
  ['true', 'false', 'null'].map((word) => [code(word), word]),
);
const ESCAPES = new Set(Array.from('"\\/bfnrt', code));
const NAMED_ESCAPES: Readonly<Record<number, string>> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  11: '\\v',
  12: '\\f',
  13: '\\r',
  [BACKSLASH]: '\\\\',
  [code("'")]: "\\'",
};

export const isSpace = (byte: number): boolean => byte === 0x20 || byte === 9 || byte === 10 || byte === 13;
const isDigit = (byte: number): boolean => byte >= ZERO && byte <= code('9');
const isExponent = (byte: number): boolean => byte === code('e') || byte === code('E');
const isHex = (byte: number): boolean => isDigit(byte) || /[a-f]/i.test(String.fromCharCode(byte));

type State =
  | 'value'
  | 'first element'
  | 'first key'
  | 'key'
  | 'colon'
  | 'after'
  | 'text'
  | 'escape'
  | 'hex'
  | 'literal'
  | 'minus'
  | 'zero'
  | 'digits'
  | 'dot'
  | 'fraction'
  | 'e'
  | 'sign'
  | 'exponent';

/** States in which a number may end. */
const ENDS_OF_NUMBERS: readonly State[] = ['zero', 'digits', 'fraction', 'exponent'];

export class JsonGrammar {
  #state: State = 'value';
  /** Whether each open container is an object. */
  readonly #open: boolean[] = [];
  /** The text is a key. */
  #isKey = false;
  #hexLeft = 0;
  #literal = '';
  #literalAt = 0;

  /** Nothing but white space has come. */
  get isBlank(): boolean {
    return this.#state === 'value' && this.#open.length === 0;
  }

  /** Whether the value is complete if nothing more comes. */
  get canEnd(): boolean {
    return this.#open.length === 0 && ENDS_OF_NUMBERS.includes(this.#state);
  }

  /** How many of these bytes are plain text within a string: they need no step. */
  plainLength(bytes: Uint8Array, from: number, end: number): number {
    if (this.#state !== 'text') return 0;
    let at = from;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === QUOTE || byte === BACKSLASH || byte < FIRST_PRINTABLE) break;
    }
    return at - from;
  }

  step(byte: number): Step | Fault {
    switch (this.#state) {
      case 'text':
        return this.#inText(byte);
      case 'escape':
        return this.#inEscape(byte);
      case 'hex':
        return this.#inHex(byte);
      case 'literal':
        return this.#inLiteral(byte);
      case 'value':
      case 'first element':
      case 'first key':
      case 'key':
      case 'colon':
      case 'after':
        return isSpace(byte) ? 'more' : this.#betweenTokens(byte);
      default:
        return this.#inNumber(byte);
    }
  }

  #goOn(state: State): Step {
    this.#state = state;
    return 'more';
  }

  #betweenTokens(byte: number): Step | Fault {
    switch (this.#state) {
      case 'first element':
        return byte === CLOSE_BRACKET ? this.#close() : this.#beginValue(byte);
      case 'first key':
        return byte === CLOSE_BRACE ? this.#close() : this.#beginKey(byte);
      case 'key':
        return this.#beginKey(byte);
      case 'colon':
        return byte === COLON ? this.#goOn('value') : faultAt(byte, 'after object key');
      case 'after':
        return this.#afterValue(byte);
      default:
        return this.#beginValue(byte);
    }
  }

  #beginKey(byte: number): Step | Fault {
    if (byte !== QUOTE) return faultAt(byte, 'looking for beginning of object key string');
    this.#isKey = true;
    return this.#goOn('text');
  }

  #beginValue(byte: number): Step | Fault {
    if (byte === QUOTE) {
      this.#isKey = false;
      return this.#goOn('text');
    }
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (this.#open.push(byte === OPEN_BRACE) > DEPTH_MAX) return faultAt(byte, 'exceeded max depth');
      return this.#goOn(byte === OPEN_BRACE ? 'first key' : 'first element');
    }
    if (byte === MINUS) return this.#goOn('minus');
    if (isDigit(byte)) return this.#goOn(byte === ZERO ? 'zero' : 'digits');
    const literal = LITERALS.get(byte);
    if (literal === undefined) return faultAt(byte, 'looking for beginning of value');
    this.#literal = literal;
    this.#literalAt = 1;
    return this.#goOn('literal');
  }

  #afterValue(byte: number): Step | Fault {
    const isObject = this.#open.at(-1)!;
    if (byte === COMMA) return this.#goOn(isObject ? 'key' : 'value');
    if (byte === (isObject ? CLOSE_BRACE : CLOSE_BRACKET)) return this.#close();
    return faultAt(byte, isObject ? 'after object key:value pair' : 'after array element');
  }

  #close(): Step {
    this.#open.pop();
    return this.#endValue();
  }

  #endValue(): Step {
    this.#state = 'after';
    return this.#open.length === 0 ? 'done' : 'more';
  }

  #inText(byte: number): Step | Fault {
    if (byte === BACKSLASH) return this.#goOn('escape');
    if (byte < FIRST_PRINTABLE) return faultAt(byte, 'in string literal');
    if (byte !== QUOTE) return 'more';
    return this.#isKey ? this.#goOn('colon') : this.#endValue();
  }

  #inEscape(byte: number): Step | Fault {
    if (byte === code('u')) {
      this.#hexLeft = 4;
      return this.#goOn('hex');
    }
    return ESCAPES.has(byte) ? this.#goOn('text') : faultAt(byte, 'in string escape code');
  }

  #inHex(byte: number): Step | Fault {
    if (!isHex(byte)) return faultAt(byte, String.raw`in \u hexadecimal character escape`);
    return --this.#hexLeft === 0 ? this.#goOn('text') : 'more';
  }

  #inLiteral(byte: number): Step | Fault {
    const expected = this.#literal[this.#literalAt]!;
    if (byte !== code(expected))
      return faultAt(byte, `in literal ${this.#literal} (expecting '${expected}')`);
    return ++this.#literalAt === this.#literal.length ? this.#endValue() : 'more';
  }

  #inNumber(byte: number): Step | Fault {
    const state = this.#state;
    if (isDigit(byte)) {
      if (state === 'minus') return this.#goOn(byte === ZERO ? 'zero' : 'digits');
      if (state === 'dot') return this.#goOn('fraction');
      if (state === 'e' || state === 'sign') return this.#goOn('exponent');
      if (state !== 'zero') return 'more';
    }
    if (byte === DOT && (state === 'zero' || state === 'digits')) return this.#goOn('dot');
    if (isExponent(byte) && ENDS_OF_NUMBERS.includes(state) && state !== 'exponent') return this.#goOn('e');
    if ((byte === MINUS || byte === code('+')) && state === 'e') return this.#goOn('sign');
    if (state === 'minus') return faultAt(byte, 'in numeric literal');
    if (state === 'dot') return faultAt(byte, 'after decimal point in numeric literal');
    if (state === 'e' || state === 'sign') return faultAt(byte, 'in exponent of numeric literal');
    if (this.#open.length === 0) return 'before';
    this.#state = 'after';
    return this.step(byte);
  }
}

function faultAt(byte: number, where: string): Fault {
  return { fault: `invalid character '${goCharacter(byte)}' ${where}` };
}

/** A byte as Go's strconv quotes it as a character. */
function goCharacter(byte: number): string {
  const escape = NAMED_ESCAPES[byte];
  if (escape !== undefined) return escape;
  const hex = byte.toString(16);
  if (byte < FIRST_PRINTABLE || byte === 0x7f) return `\\x${hex.padStart(2, '0')}`;
  const isPrintable = byte < 0x80 || (byte > 0xa0 && byte !== 0xad);
  return isPrintable ? String.fromCharCode(byte) : `\\u${hex.padStart(4, '0')}`;
}
