/** `snapshot save`: a backup of a stopped member, with what only its log holds. */
import { saveSnapshot } from '../../../ops/snapshot/save.ts';
import type { Call } from '../../call.ts';
import { writeOut } from '../../output.ts';
import { choosePrinter } from '../../print/printer.ts';
import { saveEntry, saveText } from '../../print/save.ts';

export async function save(call: Call<'data-dir' | 'wal-dir' | 'output'>): Promise<void> {
  const print = choosePrinter(call);
  const { 'data-dir': dataDir, 'wal-dir': walDir, output } = call.flags;
  const report = await saveSnapshot({ dataDir: dataDir!, walDir, output: output! }, await call.context());
  if (call.flags['write-out'] === 'simple') writeOut(saveText(report));
  else print({ entries: [saveEntry(report)] });
}
