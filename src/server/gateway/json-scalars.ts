/** Numbers and bytes in JSON as Go's protojson takes them: undefined is what it refuses. */

const NUMBER = /^(-?)(?:0|([1-9]\d*))(?:\.(\d+))?(?:[eE]([+-]?\d*))?(?![-+._a-zA-Z0-9])/;
const DIGITS_MAX = 20;
const EXPONENT_MAX = 2 ** 31;

/**
 * A whole number, also when it is written as `1e3` or `10.0`. In a string, what stands behind the first token is not
 * looked at by protojson, if it is no white space at the end: `"5,"` is 5.
 */
export function integerOf(text: string): bigint | undefined {
  const parts = NUMBER.exec(text);
  if (parts === null || text.trimEnd() !== text) return undefined;
  const [, sign, whole = '', fractionText = '', exponentText = ''] = parts;
  const fraction = withoutZeros(fractionText);
  if (whole === '' && fraction === '') return 0n;
  if (exponentText === '+' || exponentText === '-') return undefined;
  const exponent = Number(exponentText);
  if (Math.abs(exponent) >= EXPONENT_MAX) return undefined;
  const digits = exponent >= 0 ? raised(whole, fraction, exponent) : lowered(whole, fraction, -exponent);
  return digits === undefined ? undefined : BigInt(`${sign}${digits}`.replace(/^-0*$/, '0'));
}

/** Without the zeros at its end: an expression would look at each run of them from each of its places. */
function withoutZeros(fraction: string): string {
  let end = fraction.length;
  while (end > 0 && fraction[end - 1] === '0') end--;
  return fraction.slice(0, end);
}

function raised(whole: string, fraction: string, exponent: number): string | undefined {
  if (fraction.length > exponent || whole.length + exponent > DIGITS_MAX) return undefined;
  return whole + fraction.padEnd(exponent, '0');
}

function lowered(whole: string, fraction: string, exponent: number): string | undefined {
  const kept = whole.length - exponent;
  if (fraction !== '' || kept < 1 || !/^0*$/.test(whole.slice(kept))) return undefined;
  return whole.slice(0, kept);
}

/** Base64 of both alphabets, padded or not, but no mixture of them; line ends within it count for nothing. */
export function bytesOf(text: string): Uint8Array | undefined {
  const isPadded = text.length % 4 === 0;
  const isUrl = text.includes('-') || text.includes('_');
  const plain = text.includes('\n') || text.includes('\r') ? text.replaceAll(/[\r\n]/g, '') : text;
  const padding = isPadded ? /={0,2}$/.exec(plain)![0].length : 0;
  const content = padding === 0 ? plain : plain.slice(0, -padding);
  if ((isUrl ? /[^-\w]/ : /[^A-Za-z0-9+/]/).test(content)) return undefined;
  const isWhole = isPadded ? plain.length % 4 === 0 : content.length % 4 !== 1;
  return isWhole ? Buffer.from(content, isUrl ? 'base64url' : 'base64') : undefined;
}
