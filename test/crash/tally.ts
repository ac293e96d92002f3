/** Counts by row and column, printed as a table. */
export class Tally {
  readonly #title: string;
  readonly #columns: string[];
  readonly #rows = new Map<string, Map<string, number>>();

  constructor(title: string, columns: readonly string[] = []) {
    this.#title = title;
    this.#columns = [...columns];
  }

  add(row: string, column: string): void {
    if (!this.#columns.includes(column)) this.#columns.push(column);
    const counts = this.#rows.get(row) ?? new Map<string, number>();
    this.#rows.set(row, counts.set(column, (counts.get(column) ?? 0) + 1));
  }

  total(): number {
    return [...this.#rows.values()]
      .flatMap((counts) => [...counts.values()])
      .reduce((sum, count) => sum + count, 0);
  }

  print(): void {
    const width = Math.max(this.#title.length, ...[...this.#rows.keys()].map((row) => row.length)) + 2;
    const line = (head: string, cells: readonly string[]): string =>
      `  ${head.padEnd(width)}${cells.map((cell, i) => cell.padStart(this.#columns[i]!.length + 2)).join('')}\n`;
    let text = `\n${line(`${this.#title} (${this.total()})`, this.#columns)}`;
    for (const row of [...this.#rows.keys()].sort()) {
      const counts = this.#rows.get(row)!;
      text += line(
        row,
        this.#columns.map((column) => String(counts.get(column) ?? '·')),
      );
    }
    process.stdout.write(text);
  }
}
