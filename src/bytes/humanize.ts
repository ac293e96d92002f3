/** Sizes as etcdutl prints them: powers of 1000, one decimal below ten (go-humanize v1.0.1 `Bytes`). */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'];

/** `20 kB`, `6.3 MB`. */
export function humanizeBytes(sizeBytes: number): string {
  if (sizeBytes < 10) return `${sizeBytes} B`;
  let exponent = 0;
  while (exponent < UNITS.length - 1 && sizeBytes >= 1000 ** (exponent + 1)) exponent++;
  const value = Math.floor((sizeBytes / 1000 ** exponent) * 10 + 0.5) / 10;
  return `${value < 10 ? value.toFixed(1) : roundHalfEven(value)} ${UNITS[exponent]}`;
}

/** Go's `%.0f`: 20.5 is 20, 21.5 is 22. */
function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
