/**
 * Tables as etcdutl prints them: headings in the middle and in capitals, cells to the right; up to 3.6 in ASCII
 * (tablewriter v0.0.5), from 3.7 on in box-drawing characters (tablewriter v1.1). Long cells are never wrapped.
 */
import type { Compat } from '../style.ts';
import { cellText, type Report } from './report.ts';

interface Borders {
  top: readonly [left: string, middle: string, right: string];
  middle: readonly [left: string, middle: string, right: string];
  bottom: readonly [left: string, middle: string, right: string];
  across: string;
  down: string;
}

const ASCII: Borders = {
  top: ['+', '+', '+'],
  middle: ['+', '+', '+'],
  bottom: ['+', '+', '+'],
  across: '-',
  down: '|',
};

const BOX: Borders = {
  top: ['┌', '┬', '┐'],
  middle: ['├', '┼', '┤'],
  bottom: ['└', '┴', '┘'],
  across: '─',
  down: '│',
};

/** All entries must have the same columns. */
export function printTable(report: Report, shapes: Compat): string {
  const borders = shapes === '3.7' ? BOX : ASCII;
  const first = report.entries[0] ?? [];
  const headings = first.flatMap((item) => (item.column === undefined ? [] : [item.column.toUpperCase()]));
  const rows = report.entries.map((entry) => entry.filter((item) => item.column !== undefined).map(cellText));
  const widths = headings.map((heading, column) =>
    Math.max(displayWidth(heading), ...rows.map((row) => displayWidth(row[column] ?? ''))),
  );

  const rule = ([left, middle, right]: Borders['top']): string =>
    left + widths.map((width) => borders.across.repeat(width + 2)).join(middle) + right;
  const line = (cells: readonly string[]): string =>
    `${borders.down}${cells.map((cell) => ` ${cell} `).join(borders.down)}${borders.down}`;

  return [
    rule(borders.top),
    line(headings.map((heading, column) => centre(heading, widths[column]!))),
    rule(borders.middle),
    ...rows.map((row) => line(row.map((cell, column) => padStart(cell, widths[column]!)))),
    rule(borders.bottom),
    '',
  ].join('\n');
}

function padStart(text: string, width: number): string {
  return ' '.repeat(width - displayWidth(text)) + text;
}

/** An odd blank goes to the right. */
function centre(text: string, width: number): string {
  const gap = width - displayWidth(text);
  const left = Math.floor(gap / 2);
  return ' '.repeat(left) + text + ' '.repeat(gap - left);
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** Columns a terminal gives to the text: two for East Asian characters, none for combining marks. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{Mn}|\p{Me}|\p{Cf}/u.test(character)) continue;
    width += WIDE.test(character) ? 2 : 1;
  }
  return width;
}
