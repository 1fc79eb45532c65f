import { stripVTControlCharacters } from 'node:util';

/**
 * Text from a box, safe to print: a box may be run by a stranger's prompt, and an escape sequence could rewrite the screen, the
 * window's title or the clipboard. Keeps newlines and tabs; carriage returns (progress bars) become newlines.
 */
export function printable(text: string): string {
  return (
    stripVTControlCharacters(text)
      .replace(/\r\n?/g, '\n')
      // Control characters less tab and newline, and those that reverse the direction of what follows.
      .replace(/(?![\t\n])[\p{Cc}\p{Bidi_Control}]/gu, '')
  );
}

/** The same on one line: newlines are shown as a mark, what is beyond `width` as an ellipsis. */
export function oneLine(text: string, width: number): string {
  const line = printable(text)
    .trim()
    .replace(/\s*\n\s*/g, ' ⏎ ')
    .replace(/\t/g, ' ');
  return cut(line, width);
}

/** At most `width` characters, never half of one. */
export function cut(line: string, width: number): string {
  // A code point takes at most two units: so much of a long line is enough to know.
  const characters = Array.from(line.slice(0, 2 * width + 2));
  return characters.length <= width ? line : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`;
}
