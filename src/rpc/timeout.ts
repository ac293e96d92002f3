/** `grpc-timeout`: at most eight digits and a unit. */
import { RpcError, STATUS } from './status.ts';

const UNITS_MS: Record<string, number> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
const DIGITS_MAX = 8;
const MS_MAX = 99_999_999;

/** Milliseconds, with fractions. Throws what grpc-go answers to a value that is none. */
export function parseTimeout(text: string): number {
  const unit = UNITS_MS[text.at(-1) ?? ''];
  const digits = text.slice(0, -1);
  if (unit === undefined || digits.length > DIGITS_MAX || !/^\d+$/.test(digits)) {
    throw new RpcError(STATUS.internal, `malformed grpc-timeout: ${problemOf(text)}`);
  }
  return Number(digits) * unit;
}

function problemOf(text: string): string {
  const quoted = JSON.stringify(text);
  if (text.length < 2) return `transport: timeout string is too short: ${quoted}`;
  if (text.length > DIGITS_MAX + 1) return `transport: timeout string is too long: ${quoted}`;
  if (UNITS_MS[text.at(-1)!] === undefined) return `transport: timeout unit is not recognized: ${quoted}`;
  return `strconv.ParseUint: parsing ${JSON.stringify(text.slice(0, -1))}: invalid syntax`;
}

/** The header for a number of milliseconds, never shorter than it. */
export function formatTimeout(timeoutMs: number): string {
  const ms = Math.max(0, Math.ceil(timeoutMs));
  return ms <= MS_MAX ? `${ms}m` : `${Math.min(MS_MAX, Math.ceil(ms / 1000))}S`;
}
