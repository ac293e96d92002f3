/** Counts of what became of mutations, by kind, printed as a table. */

/** `excused`: not found, and proven to be unknowable · `passed`: not found, and not owed. */
const COLUMNS = ['found', 'excused', 'passed'] as const;
type Column = (typeof COLUMNS)[number];

export class Histogram {
  readonly #rows = new Map<string, Record<Column, number>>();

  add(row: string, column: Column): void {
    const counts = this.#rows.get(row) ?? { found: 0, excused: 0, passed: 0 };
    counts[column]++;
    this.#rows.set(row, counts);
  }

  lines(): string[] {
    const width = Math.max(...[...this.#rows.keys()].map((row) => row.length), 0);
    const line = (row: string, cells: readonly (string | number)[]): string =>
      `${row.padEnd(width)}${cells.map((cell) => String(cell).padStart(9)).join('')}`;
    const rows = [...this.#rows].sort(([a], [b]) => (a < b ? -1 : 1));
    return [
      line('', COLUMNS),
      ...rows.map(([row, counts]) =>
        line(
          row,
          COLUMNS.map((column) => counts[column]),
        ),
      ),
    ];
  }
}
