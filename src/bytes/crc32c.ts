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
