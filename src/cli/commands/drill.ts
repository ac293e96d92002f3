/** `drill`: the steps of a recovery as they are done, each with its time. */
import { drill as runDrill, type DrillReport, type DrillStep } from '../../ops/drill.ts';
import type { Call } from '../call.ts';
import { writeOut } from '../output.ts';
import { choosePrinter } from '../print/printer.ts';
import type { Report } from '../print/report.ts';

const WHAT_WIDTH = 34;
const TIME_WIDTH = 6;

export async function drill(call: Call<'output'>): Promise<void> {
  const print = choosePrinter(call);
  const isText = call.flags['write-out'] === 'simple';
  const directory = call.flags.output ?? `drill-${timestamp(new Date())}`;
  const context = await call.context();
  const onStep = (step: DrillStep): void => {
    if (isText) writeOut(stepLine(step));
  };
  const report = await runDrill(call.operands[0]!, { directory, onStep }, context);
  if (isText) writeOut(closingLines(report));
  else print(describeDrill(report));
}

/** `20261121-093000`, in UTC. */
function timestamp(now: Date): string {
  return now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
}

function stepLine({ what, outcome, tookMs }: DrillStep): string {
  return `${tookMs.toFixed(0).padStart(TIME_WIDTH)} ms  ${what.padEnd(WHAT_WIDTH)} ${outcome}\n`;
}

function closingLines({ directory, steps }: DrillReport): string {
  const total = steps.reduce((sum, step) => sum + step.tookMs, 0);
  return `${total.toFixed(0).padStart(TIME_WIDTH)} ms  in all. The members are in ${directory}; remove it when you have looked.\n`;
}

function describeDrill({ directory, steps }: DrillReport): Report {
  return {
    isList: true,
    entries: steps.map(({ what, outcome, tookMs }) => [
      { json: 'step', field: 'Step', column: 'step', value: what },
      { json: 'outcome', field: 'Outcome', column: 'outcome', value: outcome },
      { json: 'tookMs', field: 'Took ms', column: 'took ms', value: Math.round(tookMs) },
      { json: 'directory', field: 'Directory', value: directory },
    ]),
  };
}
