/** Chooses the printer; a command asks for it before it opens any data. */
import { UnsupportedError, UsageError } from '../../errors.ts';
import type { Call } from '../call.ts';
import { FLAGS, flagText } from '../flags.ts';
import { writeOut } from '../output.ts';
import type { Style } from '../style.ts';
import { printFields } from './fields.ts';
import { printJson } from './json.ts';
import type { Report } from './report.ts';
import { printSimple } from './simple.ts';
import { printTable } from './table.ts';

export type Format = (typeof FLAGS)['write-out']['words'][number];

/** Prints a report to stdout. */
export type Printer = (report: Report) => void;

const FORMATS: Record<Format, (report: Report, style: Style) => string> = {
  simple: printSimple,
  table: (report, style) => printTable(report, style.shapes),
  json: printJson,
  fields: printFields,
};

/** The printer that the call asks for. Throws `usage.format` for one that does not exist. */
export function choosePrinter(call: Pick<Call, 'flags' | 'style'>): Printer {
  const format = call.flags['write-out'];
  if (!isFormat(format)) throw unknownFormat(format);
  return (report) => writeOut(FORMATS[format](report, call.style));
}

function isFormat(format: string): format is Format {
  return Object.hasOwn(FORMATS, format);
}

function unknownFormat(format: string): UsageError | UnsupportedError {
  const hint = `${flagText('write-out')} takes ${FLAGS['write-out'].words.join(', ')}`;
  if (format === 'protobuf') {
    return new UnsupportedError('usage.format', 'protobuf not supported as output format', { hint });
  }
  return new UsageError('usage.format', 'unsupported output format', { hint });
}
