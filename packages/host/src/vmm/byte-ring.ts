const blockBytes = 16 * 1024;

/** The last `limit` bytes of a stream, in memory that grows only as far as it is used. */
export class ByteRing {
  readonly #limit: number;
  readonly #blocks: { bytes: Buffer; used: number }[] = [];
  #dropped = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  push(data: Uint8Array): void {
    let rest = data;
    while (rest.length > 0) {
      let last = this.#blocks.at(-1);
      if (last === undefined || last.used === last.bytes.length) {
        last = { bytes: Buffer.allocUnsafeSlow(blockBytes), used: 0 };
        this.#blocks.push(last);
        if ((this.#blocks.length - 1) * blockBytes > this.#limit) {
          this.#blocks.shift();
          this.#dropped = true;
        }
      }
      const piece = rest.subarray(0, last.bytes.length - last.used);
      last.bytes.set(piece, last.used);
      last.used += piece.length;
      rest = rest.subarray(piece.length);
    }
  }

  /** What is kept; when something was dropped, from the first whole line on where there is one. */
  bytes(): Buffer {
    const all = Buffer.concat(this.#blocks.map(({ bytes, used }) => bytes.subarray(0, used)));
    const kept = all.subarray(Math.max(0, all.length - this.#limit));
    if (!this.#dropped && kept.length === all.length) return kept;
    return kept.subarray(kept.indexOf(0x0a) + 1);
  }
}
