import { stripVTControlCharacters } from 'node:util';

/** Longest line kept of a console, in characters; the rest of a longer one becomes lines of its own. */
const longestLine = 4096;

/** A guest's line, harmless on the operator's terminal: no escape sequences, no carriage returns, no bidi tricks. */
export function printable(line: string): string {
  return stripVTControlCharacters(line.toWellFormed())
    .replaceAll('\t', ' ')
    .replace(/[\p{Cc}\u202A-\u202E\u2066-\u2069]/gu, '')
    .slice(0, longestLine);
}

/** Cuts pieces of console output into lines. What it holds back is bounded. */
export class LineSplitter {
  readonly #emit: (line: string) => void;
  #rest = '';

  constructor(emit: (line: string) => void) {
    this.#emit = emit;
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#line(line);
    if (this.#rest.length > longestLine) {
      this.#line(this.#rest);
      this.#rest = '';
    }
  }

  #line(line: string): void {
    for (let at = 0; at === 0 || at < line.length; at += longestLine) this.#emit(printable(line.slice(at, at + longestLine)));
  }
}
