import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';

const headerBytes = 4;

/**
 * The disk of a machine of the double: records one behind the other in the box's disk file, which is written in place as a VM does.
 * A record is there from the moment its length is, which is written last: a kill at any moment leaves it whole or not at all.
 */
export class RecordDisk implements Disposable {
  readonly #file: number;
  readonly #size: number;
  #end = 0;

  constructor(path: string) {
    this.#file = openSync(path, 'r+');
    this.#size = fstatSync(this.#file).size;
  }

  /** All records, oldest first; call it once, before the first append. */
  *read(): Generator {
    for (;;) {
      const length = this.#bytes(this.#end, headerBytes).readUInt32BE();
      if (length === 0) return;
      yield JSON.parse(this.#bytes(this.#end + headerBytes, length).toString()) as unknown;
      this.#end += headerBytes + length;
    }
  }

  append(record: unknown): void {
    const body = Buffer.from(JSON.stringify(record));
    const header = Buffer.alloc(headerBytes);
    header.writeUInt32BE(body.length);
    if (this.#end + 2 * headerBytes + body.length > this.#size) throw new Error('the disk is full');
    writeSync(this.#file, body, 0, body.length, this.#end + headerBytes);
    writeSync(this.#file, header, 0, headerBytes, this.#end);
    this.#end += headerBytes + body.length;
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #bytes(at: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    readSync(this.#file, bytes, 0, length, at);
    return bytes;
  }
}
