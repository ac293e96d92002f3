/** `"Name" : value` lines, strings without quotes, as etcdutl prints them. */
import { plainText, type Report } from './report.ts';

export function printFields(report: Report): string {
  let text = '';
  for (const entry of report.entries) {
    for (const item of entry) {
      if (item.field !== undefined) text += `"${item.field}" : ${plainText(item.value)}\n`;
    }
  }
  return text;
}
