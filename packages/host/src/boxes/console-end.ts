import { printable } from '../hostinfo/line-splitter.ts';

/** An error's text with the end of the console, which usually has the reason. One line, bounded. */
export function withConsole(message: string, console: string): string {
  const end = lastLines(console);
  return end === '' ? message : `${message} Its console ends with: ${end}`;
}

/** The last lines that say something: at most six, at most 800 characters in all. */
function lastLines(console: string): string {
  return console
    .slice(-8192)
    .split(/[\r\n]+/)
    .map((line) => printable(line).trim())
    .filter((line) => line !== '')
    .slice(-6)
    .join(' | ')
    .slice(-800);
}
