/** What a running server has cost so far, as Linux tells it. */
import { readFileSync } from 'node:fs';

/** Ticks in a second of what `/proc/PID/stat` counts; the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** User and system time of all its threads. */
export function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may hold blanks; the fields after it start with the third.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Memory in bytes: what is resident now, mapped files included, and the most there ever was. */
export function memory(pid: number): { residentBytes: number; peakBytes: number } {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kilobytes = (name: string): number =>
    Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(text)?.[1] ?? 0);
  return { residentBytes: kilobytes('VmRSS') * 1024, peakBytes: kilobytes('VmHWM') * 1024 };
}
