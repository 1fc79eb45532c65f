const tilde = 0x7e;
const dot = 0x2e;
const carriageReturn = 0x0d;
const lineFeed = 0x0a;

/** ssh's way out of a session: `~.` at the start of a line leaves, `~~` there types one `~`. */
export class EscapeSequence {
  #state: 'line-start' | 'tilde' | 'inside' = 'line-start';

  /** What of the typed bytes is to be sent, and whether the user wants to leave. */
  feed(typed: Uint8Array): { readonly send: Buffer; readonly leave: boolean } {
    const send: number[] = [];
    for (const byte of typed) {
      if (this.#state === 'tilde') {
        this.#state = 'inside';
        if (byte === dot) return { send: Buffer.from(send), leave: true };
        if (byte === tilde) {
          send.push(tilde);
          continue;
        }
        send.push(tilde);
      } else if (this.#state === 'line-start' && byte === tilde) {
        this.#state = 'tilde';
        continue;
      }
      send.push(byte);
      this.#state = byte === carriageReturn || byte === lineFeed ? 'line-start' : 'inside';
    }
    return { send: Buffer.from(send), leave: false };
  }
}
