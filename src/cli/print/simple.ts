/** One line an entry, values separated by a comma and a blank. */
import { cellText, type Report } from './report.ts';

export function printSimple(report: Report): string {
  let text = '';
  for (const entry of report.entries) {
    const cells = entry.filter((item) => item.column !== undefined).map(cellText);
    text += `${cells.join(', ')}\n`;
  }
  return text;
}
