import { oneLine } from './printable.ts';
import type { Colours } from './colours.ts';

/** Rows below a dim heading, in columns as wide as they must be. Cells are made printable. */
export function table(colours: Colours, heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell) => oneLine(cell, 60)));
  const widths = heading.map((name, column) => Math.max(name.length, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [colours.dim(line(heading)), ...cells.map(line)].join('\n');
}
