/** A line of the result. Every figure has its unit; only the ratios mean something on another machine. */
export interface Row {
  readonly what: string;
  readonly ours: string;
  /** What it is compared with, in the same run, and how long or how much that was. */
  readonly against?: string;
  readonly ratio?: string;
  readonly target?: string;
  readonly met?: boolean;
}

const columns = ['what', 'ours', 'against', 'ratio', 'target', 'met'] as const;
const headings = { what: '', ours: 'ours', against: 'compared with', ratio: 'ratio', target: 'target', met: 'met' };

export function print(title: string, rows: readonly Row[]): void {
  const cells = rows.map(cellsOf);
  const width = columns.map((_, index) => Math.max(...[headingLine, ...cells].map((line) => line[index]?.length ?? 0)));
  console.log(`\n${title}`);
  for (const line of [headingLine, ...cells]) {
    const padded = line.map((cell, index) => cell.padEnd(width[index] ?? 0));
    console.log(`  ${padded.join('  ').trimEnd()}`);
  }
}

const headingLine = columns.map((column) => headings[column]);

function cellsOf(row: Row): string[] {
  return columns.map((column) => (column === 'met' ? verdict(row.met) : (row[column] ?? '')));
}

function verdict(met: boolean | undefined): string {
  if (met === undefined) return '';
  return met ? 'yes' : 'NO';
}
