/**
 * How a run ends: the one place that knows exit codes, and how an error is shown. etcdutl's codes apply under
 * compat: 1 for nearly everything, 4 for an output format, 128 for its own complaints about arguments
 * (etcd v3.6 `pkg/cobrautl/error.go`).
 */
import {
  CorruptError,
  describeWhere,
  type ErrorCode,
  RefusedError,
  ToolError,
  UnsupportedError,
  UsageError,
} from '../errors.ts';
import { flagText } from './flags.ts';
import type { Style } from './style.ts';

/** Exit codes, one meaning each. */
export const EXIT_CODES = {
  good: 0,
  failed: 1,
  usage: 2,
  damage: 3,
  refused: 4,
  unsupported: 5,
  interrupted: 130,
} as const;

export type Ending = keyof typeof EXIT_CODES;

const UPSTREAM_EXIT_CODES: Record<Ending, number> = {
  good: 0,
  failed: 1,
  usage: 1,
  damage: 1,
  refused: 1,
  unsupported: 1,
  interrupted: 130,
};

/** Where upstream's code follows from the kind of error rather than from the ending. */
const UPSTREAM_BY_CODE: Partial<Record<ErrorCode, number>> = {
  'usage.format': 4,
  'usage.arguments': 128,
};

export function endingOf(error: unknown): Ending {
  if (error instanceof UsageError) return 'usage';
  if (error instanceof CorruptError) return 'damage';
  if (error instanceof RefusedError) return 'refused';
  if (error instanceof UnsupportedError) return 'unsupported';
  return isInterruption(error) ? 'interrupted' : 'failed';
}

export function exitCodeOf(ending: Ending, style: Style, error?: unknown): number {
  if (!style.compat) return EXIT_CODES[ending];
  const byCode = error instanceof ToolError ? UPSTREAM_BY_CODE[error.code] : undefined;
  return byCode ?? UPSTREAM_EXIT_CODES[ending];
}

function isInterruption(error: unknown): boolean {
  if (error instanceof ToolError) return error.code === 'interrupted';
  return error instanceof Error && error.name === 'AbortError';
}

/**
 * The lines for stderr: what is wrong, and natively also where and what to do next. Only a defect of our own has
 * a stack, and only when `isVerbose`.
 */
export function describeError(error: unknown, style: Style, isVerbose = false): string {
  if (!(error instanceof ToolError)) {
    if (isInterruption(error)) return 'Error: interrupted\n';
    return describeDefect(error, isVerbose);
  }
  if (style.compat) return `Error: ${error.upstream ?? error.message}\n`;

  const lines = [`Error: ${error.message}`];
  const where = error.where ? describeWhere(error.where) : '';
  if (where !== '' && !error.message.includes(where)) lines.push(`  at: ${where}`);
  for (const hint of error.hint?.split('\n') ?? []) lines.push(`  hint: ${hint}`);
  if (isVerbose) lines.push(...describeCauses(error.cause));
  return `${lines.join('\n')}\n`;
}

function describeDefect(error: unknown, isVerbose: boolean): string {
  const message = messageOf(error);
  const lines = [`Error: unexpected: ${message}`];
  if (isVerbose && error instanceof Error) {
    lines.push('  this is a defect in etcdkit', error.stack ?? '', ...describeCauses(error.cause));
  } else lines.push(`  this is a defect in etcdkit; ${flagText('log-level')} debug shows where`);
  return `${lines.join('\n')}\n`;
}

function describeCauses(cause: unknown): string[] {
  const lines: string[] = [];
  for (
    let at = cause;
    at !== undefined && lines.length < 10;
    at = at instanceof Error ? at.cause : undefined
  ) {
    lines.push(`  caused by: ${messageOf(at)}`);
  }
  return lines;
}

/** What was thrown may be anything. */
function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  return typeof thrown === 'string' ? thrown : (JSON.stringify(thrown) ?? typeof thrown);
}

/** Lets the process end with `code` once nothing is left to do. */
export function endWith(code: number): void {
  process.exitCode = code;
}

/** Ends the process at once: a second signal, or a defect that nothing caught. */
export function endNow(code: number): never {
  process.exit(code);
}
