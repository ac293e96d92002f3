/**
 * The log of a server, line for line as zap writes it for etcd: JSON with `level`, `ts`, `caller` and `msg`, or
 * tab-separated columns. etcd v3.6 client/pkg/logutil/zap.go.
 */
import { openSync, writeSync } from 'node:fs';
import { pino } from 'pino';
import { ToolError } from '../../errors.ts';
import type { LogSettings } from '../../server/config.ts';
import type { Log } from '../../server/log.ts';
import { writeError, writeOut } from '../output.ts';
import { encodeJson } from '../print/json.ts';
import type { JsonValue } from '../print/report.ts';

type Write = (line: string) => void;

type LogLine = Record<'level' | 'ts' | 'caller' | 'msg', string> & Record<string, JsonValue>;

const CALLER = 'etcdkit/serve';

/** Opens the outputs. Throws `server.log` for a file that cannot be opened. */
export function serverLog(settings: LogSettings, open: (output: string) => Write = openOutput): Log {
  const outputs = settings.outputs.map(open);
  const write = (line: string): void => {
    for (const output of outputs) output(line);
  };
  const formatters = {
    level: (label: string) => ({ level: label }),
    log: (fields: object) => loggable(fields) as Record<string, unknown>,
  };
  const timestamp = (): string => `,"ts":"${microseconds()}"`;
  const { level, format } = settings;
  const destination = { write: format === 'json' ? write : (line: string) => write(consoleLine(line)) };
  return pino({ level, base: { caller: CALLER }, formatters, timestamp, errorKey: 'error' }, destination);
}

function consoleLine(line: string): string {
  const { level, ts, caller, msg, ...fields } = JSON.parse(line) as LogLine;
  const columns = [ts, level, caller, msg];
  if (Object.keys(fields).length > 0) columns.push(encodeJson(fields, { isSpaced: true }));
  return `${columns.join('\t')}\n`;
}

/** Ids are texts in a log, as etcd has them; an error is its message. */
function loggable(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Error) return value.message;
  if (Array.isArray(value)) return value.map(loggable);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, loggable(item)]));
  }
  return value;
}

/** `2026-11-21T05:54:09.123456Z` */
function microseconds(): string {
  const now = performance.timeOrigin + performance.now();
  const micros = Math.floor((now % 1) * 1000);
  return `${new Date(now).toISOString().slice(0, 23)}${String(micros).padStart(3, '0')}Z`;
}

function openOutput(output: string): Write {
  if (output === 'stderr') return writeError;
  if (output === 'stdout') return unbroken(output, writeOut);
  let file: number;
  try {
    file = openSync(output, 'a', 0o644);
  } catch (cause) {
    throw new ToolError('server.log', `cannot open the log file: ${(cause as Error).message}`, {
      where: { file: output },
      cause,
    });
  }
  return unbroken(output, (line) => writeSync(file, line));
}

/** A log that cannot be written does not stop the server, as with etcd; it is said once. */
function unbroken(output: string, write: (line: string) => unknown): Write {
  let isBroken = false;
  return (line) => {
    try {
      write(line);
      isBroken = false;
    } catch (error) {
      if (!isBroken) writeError(`cannot write to ${output}: ${(error as Error).message}\n`);
      isBroken = true;
    }
  };
}
