declare module 'crc-32/crc32c.js' {
  interface Crc32c {
    /** CRC-32C of `bytes`, continued from `seed`; a signed 32-bit number. */
    buf(bytes: Uint8Array, seed?: number): number;
  }
  const crc32c: Crc32c;
  export default crc32c;
}
