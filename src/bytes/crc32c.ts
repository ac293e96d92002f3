/**
 * CRC-32C (Castagnoli), rolling. crc-32 serves short runs; for long ones a native version, where it is
 * installed, is several times faster. Both give the same values.
 */
import { createRequire } from 'node:module';
import portable from 'crc-32/crc32c.js';

type Crc = (bytes: Uint8Array, crc: number) => number;

/** Below this many bytes a call into native code costs more than it saves. */
const NATIVE_MIN_BYTES = 384;

let native: Crc | undefined;
let isNativeTried = false;

function loadNative(): Crc | undefined {
  isNativeTried = true;
  try {
    const addon = createRequire(import.meta.url)('@node-rs/crc32') as { crc32c: Crc };
    native = addon.crc32c;
  } catch {
    native = undefined;
  }
  return native;
}

/** The CRC of `bytes[start, end)` continued from `crc`; 0 starts a new one. An unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, crc = 0, start = 0, end = bytes.length): number {
  const run = start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end);
  if (run.length >= NATIVE_MIN_BYTES) {
    const addon = isNativeTried ? native : loadNative();
    if (addon) return addon(run, crc);
  }
  return portable.buf(run, crc) >>> 0;
}

/** Castagnoli's polynomial. All polynomials here are bit-reflected: bit 31 is the coefficient of x^0. */
const POLYNOMIAL = 0x82f63b78;
const ONE = 0x80000000;
const X_TO_8 = 0x00800000;

/** Of two polynomials, modulo Castagnoli's. */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let rest = a, term = b; rest !== 0; rest <<= 1) {
    if (rest < 0 || rest >= ONE) product ^= term;
    term = term & 1 ? (term >>> 1) ^ POLYNOMIAL : term >>> 1;
  }
  return product >>> 0;
}

/** x^(8n) for n = digit · 256^place, by place and digit; a place is filled when it is first needed. */
const powers: Uint32Array[] = [];

function powersOf(place: number): Uint32Array {
  const known = powers[place];
  if (known) return known;
  const below = place > 0 ? powersOf(place - 1) : undefined;
  const base = below ? multiply(below[255]!, below[1]!) : X_TO_8;
  const table = new Uint32Array(256);
  table[0] = ONE;
  for (let digit = 1; digit < 256; digit++) table[digit] = multiply(table[digit - 1]!, base);
  powers[place] = table;
  return table;
}

/** What a CRC is multiplied by when `size` bytes follow. */
function shiftBy(size: number): number {
  let shift = ONE;
  for (let rest = size, place = 0; rest > 0; rest = Math.floor(rest / 256), place++) {
    if (rest % 256 > 0) shift = multiply(shift, powersOf(place)[rest % 256]!);
  }
  return shift;
}

/** The CRC of bytes that come in runs, the last run first. */
export class BackwardCrc32c {
  /** Of what came so far. */
  value = 0;
  /** x^(8n) for the n bytes that came so far. */
  #shift = ONE;

  /** Puts `bytes[start, end)` before what came so far. */
  prepend(bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.value = (multiply(crc32c(bytes, 0, start, end), this.#shift) ^ this.value) >>> 0;
    this.#shift = multiply(this.#shift, shiftBy(end - start));
  }
}
