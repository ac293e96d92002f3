/**
 * Makes the context of an operation: a pino logger on stderr, progress when stderr is a terminal, and a signal
 * that is aborted by the first Ctrl-C; the second one ends the process where it stands.
 */
import { isatty } from 'node:tty';
import { pino } from 'pino';
import { type Context, type Log, plainContext } from '../ops/context.ts';
import { endNow, EXIT_CODES } from './exit.ts';
import type { FlagValues } from './flags.ts';
import { onBeforeText, writeError, writeProgress } from './output.ts';
import { encodeJson } from './print/json.ts';
import type { JsonValue } from './print/report.ts';
import { Progress } from './progress.ts';
import type { Style } from './style.ts';

const STDERR = 2;

export interface ContextOptions {
  flags: Pick<FlagValues, 'log-level' | 'log-format'>;
  style: Style;
  /** `snapshot/status`: where a message comes from. */
  caller: string;
}

export function makeContext(options: ContextOptions): Context {
  const level = options.flags['log-level'] ?? (options.style.compat ? 'info' : 'warn');
  const logOptions = { level, caller: options.caller };
  const log = options.flags['log-format'] === 'json' ? jsonLog(logOptions) : consoleLog(logOptions);
  return plainContext({ log, signal: stopSignal(), ...progressOnTerminal() });
}

interface LogOptions {
  level: string;
  caller: string;
  write?: (line: string) => void;
}

const TIME = { timestamp: (): string => `,"time":"${rfc3339(new Date())}"` };

export function jsonLog({ level, caller, write = writeError }: LogOptions): Log {
  const formatters = { level: (label: string) => ({ level: label }) };
  return pino({ level, base: { caller }, formatters, ...TIME }, { write });
}

/**
 * Time, level, caller, message and fields, tab-separated: the columns of zap's console encoder, which is what
 * etcdutl logs with and scripts cut up.
 */
export function consoleLog({ level, caller, write = writeError }: LogOptions): Log {
  const formatters = {
    level: (label: string) => ({ level: label }),
    // Kept as text, in the order and with the 64-bit numbers that were given.
    log: (fields: object) => ({ fields: encodeJson(loggable(fields), { isSpaced: true }) }),
  };
  const destination = {
    write(line: string): void {
      const record = JSON.parse(line) as { level: string; time: string; msg: string; fields?: string };
      const columns = [record.time, record.level, caller, record.msg];
      if (record.fields !== undefined && record.fields !== '{}') columns.push(record.fields);
      write(`${columns.join('\t')}\n`);
    },
  };
  return pino({ level, base: null, formatters, ...TIME }, destination);
}

function loggable(value: unknown): JsonValue {
  if (value instanceof Error) return value.message;
  if (Array.isArray(value)) return value.map(loggable);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, loggable(item)]));
  }
  return typeof value === 'undefined' ? null : (value as JsonValue);
}

/** `2026-11-21T05:54:09Z` */
function rfc3339(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) endNow(EXIT_CODES.interrupted);
    controller.abort();
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  return controller.signal;
}

function progressOnTerminal(): Pick<Context, 'progress'> {
  if (!isatty(STDERR)) return {};
  const progress = new Progress({
    write: writeProgress,
    now: () => performance.now(),
    width: () => process.stderr.columns || 80,
  });
  onBeforeText(() => progress.wipe());
  return { progress: (label) => progress.start(label) };
}
