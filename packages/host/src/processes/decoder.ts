/** A piece of output as it goes out in JSON. */
export interface Piece {
  readonly data: string;
  readonly encoding: 'utf8' | 'base64';
}

/**
 * Makes text of the bytes of one output, wherever the guest cut them: a character that is split over two chunks waits for its
 * rest. What is not UTF-8 goes out in base64, just as it is.
 */
export class OutputDecoder {
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #held: Buffer = Buffer.alloc(0);

  /** The next bytes; undefined when they are only the beginning of a character. */
  push(chunk: Uint8Array): Piece | undefined {
    const bytes = this.#held.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#held, chunk]);
    const whole = bytes.length - unfinished(bytes);
    this.#held = bytes.subarray(whole);
    if (whole === 0) return undefined;
    const text = this.#text(bytes.subarray(0, whole));
    if (text !== undefined) return { data: text, encoding: 'utf8' };
    this.#held = Buffer.alloc(0);
    return { data: bytes.toString('base64'), encoding: 'base64' };
  }

  /** What is left at the end of the output: never a whole character. */
  end(): Piece | undefined {
    const rest = this.#held;
    this.#held = Buffer.alloc(0);
    return rest.length === 0 ? undefined : { data: rest.toString('base64'), encoding: 'base64' };
  }

  #text(bytes: Uint8Array): string | undefined {
    try {
      return this.#utf8.decode(bytes);
    } catch {
      return undefined;
    }
  }
}

/** Bytes at the end that begin a character which is not complete: 0 to 3. */
function unfinished(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0b1100_0000) === 0b1000_0000) continue;
    const length = byte >= 0b1111_0000 ? 4 : byte >= 0b1110_0000 ? 3 : byte >= 0b1100_0000 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}
