import { once } from 'node:events';
import { connect } from 'node:net';
import { type Box, guestPorts } from '@citb/api';
import type { BenchDaemon } from './daemon.ts';

/** A file of the box that a stream is stored in. */
const stored = '/workspace/stored.bin';

/**
 * The least that moves bytes through a connection, on the agent's port, which a box without an agent does not use: blocks of 64 KiB; in what
 * comes is stored as an upload is, on the disk before it is answered.
 */
const program = (bytes: number): string => `
import os, socket
listener = socket.create_server(("0.0.0.0", ${guestPorts.agent}))
while True:
    connection, _ = listener.accept()
    with connection:
        if connection.recv(1) == b"o":
            block = bytes(65536)
            for _ in range(${bytes} // len(block)):
                connection.sendall(block)
        else:
            left = ${bytes}
            with open("${stored}", "wb") as file:
                while left > 0:
                    block = connection.recv(65536)
                    if not block:
                        break
                    file.write(block)
                    left -= len(block)
                file.flush()
                os.fsync(file.fileno())
            connection.sendall(b"k")
`;

/** Bytes in and out of a box through a bare TCP connection. */
export class BareStream {
  readonly #bench: BenchDaemon;
  readonly #id: string;
  readonly #address: string;
  readonly #bytes: number;

  private constructor(bench: BenchDaemon, id: string, address: string, bytes: number) {
    this.#bench = bench;
    this.#id = id;
    this.#address = address;
    this.#bytes = bytes;
  }

  /** @param box one with Python and without an agent */
  static async start(bench: BenchDaemon, { id, vm_ip: address }: Box, bytes: number): Promise<BareStream> {
    if (address === null) throw new Error('the box has no address');
    await bench.json('POST', `/v1/boxes/${id}/exec`, { command: `exec python3 -c '${program(bytes)}'`, background: true });
    const port = guestPorts.agent.toString(16).toUpperCase();
    await bench.exec(id, `until grep -q :${port} /proc/net/tcp; do sleep 0.1; done`);
    return new BareStream(bench, id, address, bytes);
  }

  /** Sets the largest packet of the guest, in bytes. */
  async packets(bytes: number): Promise<void> {
    await this.#bench.exec(this.#id, `sudo /opt/citb/bin/busybox ifconfig eth0 mtu ${bytes}`);
  }

  /** The bytes out of the box's memory. */
  async out(): Promise<void> {
    const socket = connect(guestPorts.agent, this.#address);
    socket.write('o');
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => (bytes += chunk.byteLength));
    await once(socket, 'end');
    socket.destroy();
    if (bytes !== this.#bytes) throw new Error(`bare stream out: ${bytes} bytes`);
  }

  /** The bytes into a file of the box, until its disk has them. */
  async stored(): Promise<void> {
    const socket = connect(guestPorts.agent, this.#address);
    socket.write('i');
    socket.write(Buffer.alloc(this.#bytes, 7));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    if (answer.toString() !== 'k') throw new Error('bare stream in: no answer');
  }
}
