// Rows of cells as lines for a terminal. Pure.

/** Longer values stand out of their column instead of making it wider for all. */
const COLUMN_MAX = 40;

/** How wide each column is. */
export function widthsOf(rows: string[][]): number[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, Math.min(COLUMN_MAX, cell.length));
    });
  }
  return widths;
}

/** One row; the last cell is not padded. */
export function aligned(row: string[], widths: number[]): string {
  return row
    .map((cell, column) => (column < row.length - 1 ? cell.padEnd(widths[column]!) : cell))
    .join('  ');
}

/** On one line, without anything that a terminal would act on. */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
}
