/** `snapshot verify`: one report for each path, and the worst of them decides how the run ends. */
import { LAYERS, type Layer, type VerifyReport } from '../../../check/report.ts';
import { UsageError } from '../../../errors.ts';
import { verifySnapshot } from '../../../ops/snapshot/verify.ts';
import type { Call } from '../../call.ts';
import type { Ending } from '../../exit.ts';
import { flagText } from '../../flags.ts';
import { writeOut } from '../../output.ts';
import { findingLines, verifyEntry, verifyHeader, verifySummary } from '../../print/verify.ts';
import { choosePrinter } from '../../print/printer.ts';

/** Findings of one path that are written out as text; the rest is counted. */
const SHOWN_FINDINGS = 50;

export async function verify(call: Call<'quick' | 'layers' | 'json' | 'wal-dir'>): Promise<Ending> {
  const layers = readLayers(call.flags.layers);
  const print = choosePrinter(call);
  const format = call.flags.json ? 'json' : call.flags['write-out'];
  const isText = format === 'simple';
  const context = await call.context();
  const reports: VerifyReport[] = [];
  for (const path of call.operands) {
    let shown = 0;
    if (isText) writeOut(verifyHeader(path));
    const report = await verifySnapshot(
      path,
      {
        layers,
        isQuick: call.flags.quick,
        walDir: call.flags['wal-dir'],
        onFinding: (_path, finding) => {
          if (isText && shown++ < SHOWN_FINDINGS) writeOut(findingLines(finding, path));
        },
      },
      context,
    );
    reports.push(report);
    if (isText) writeOut(verifySummary(report, SHOWN_FINDINGS));
  }
  if (format === 'json') {
    const [only] = reports;
    writeOut(`${JSON.stringify(reports.length === 1 ? only : reports)}\n`);
  } else if (!isText) print({ entries: reports.map((report) => verifyEntry(report)) });
  return worst(reports);
}

function readLayers(names: readonly string[]): Layer[] | undefined {
  if (names.length === 0) return undefined;
  for (const name of names) {
    if ((LAYERS as readonly string[]).includes(name)) continue;
    throw new UsageError(
      'usage',
      `${flagText('layers')} takes ${LAYERS.join(', ')}, not ${JSON.stringify(name)}`,
    );
  }
  return names as Layer[];
}

/** A path that is not there is a failure; what is there and cannot be used is damage. */
function worst(reports: readonly VerifyReport[]): Ending {
  const isDamaged = ({ verdict, findings }: VerifyReport): boolean =>
    verdict === 'DAMAGED' ||
    (verdict === 'UNREADABLE' && !findings.some(({ code }) => code.startsWith('io.')));
  if (reports.some(isDamaged)) return 'damage';
  const isGood = ({ verdict }: VerifyReport): boolean => verdict === 'GOOD' || verdict === 'GOOD with notes';
  return reports.every(isGood) ? 'good' : 'failed';
}
