/** The complete lines that one read brought, so that they can be recorded together. */
export interface LineBatch {
  readonly lines: readonly string[];
  /** Lines that were left out because they are longer than the bound. */
  readonly overlong: number;
}

/**
 * The lines of a stream, in batches as they come: a line is given out at once, never kept back for the next. Empty lines
 * (heartbeats) and what follows the last line break are left out. Memory is bounded by `maxLine` and one chunk.
 * @param maxLine longest line in bytes
 */
export async function* lineBatches(stream: AsyncIterable<Buffer>, maxLine: number): AsyncGenerator<LineBatch> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    const lines: string[] = [];
    let overlong = 0;
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      const last = chunk.subarray(start, end);
      start = end + 1;
      length += last.length;
      if (length > maxLine) overlong += 1;
      else if (length > 0) lines.push((parts.length === 0 ? last : Buffer.concat([...parts, last])).toString('utf8'));
      parts = [];
      length = 0;
    }
    const rest = chunk.subarray(start);
    length += rest.length;
    // Of a line that is already too long only the length is kept.
    if (length > maxLine) parts = [];
    else if (rest.length > 0) parts.push(rest);
    yield { lines, overlong };
  }
}
