/** Durations as Go writes them: `10s`, `1m30s`, `500ms`, `0` (Go `time.ParseDuration`). */

const UNITS_MS: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Go counts nanoseconds in an int64. */
const MAX_MS = 2 ** 63 / 1e6;

/** Why a text is no duration, in Go's words. */
export interface DurationProblem {
  problem: string;
}

/** Milliseconds, or what Go would say of the text. */
export function parseDuration(text: string): number | DurationProblem {
  const quoted = JSON.stringify(text);
  const invalid = { problem: `time: invalid duration ${quoted}` };
  const negative = text.startsWith('-');
  let rest = text.replace(/^[+-]/, '');
  if (rest === '0') return 0;
  if (rest === '') return invalid;

  let totalMs = 0;
  while (rest !== '') {
    const match = /^(\d*(?:\.\d*)?)([^\d.]*)/.exec(rest)!;
    const [part, amount = '', unit = ''] = match;
    if (!/\d/.test(amount)) return invalid;
    if (unit === '') return { problem: `time: missing unit in duration ${quoted}` };
    const unitMs = Object.hasOwn(UNITS_MS, unit) ? UNITS_MS[unit] : undefined;
    if (unitMs === undefined) {
      return { problem: `time: unknown unit ${JSON.stringify(unit)} in duration ${quoted}` };
    }
    totalMs += Number(amount) * unitMs;
    rest = rest.slice(part.length);
  }
  if (totalMs >= MAX_MS) return invalid;
  return negative ? -totalMs : totalMs;
}
