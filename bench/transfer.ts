import { once } from 'node:events';
import { connect } from 'node:net';
import { type Box, guestPorts } from '@citb/api';
import type { BenchDaemon } from './daemon.ts';
import { timed } from './measure.ts';
import type { Run } from './run.ts';
import type { Row } from './table.ts';

const mib = 1024 * 1024;
const size = 64 * mib;

const rate = (ms: number): string => `${(size / mib / (ms / 1000)).toFixed(0)} MiB/s`;

/** What of a bare TCP stream a file should reach. */
const target = 0.8;

/** Upload and download through the API against a bare TCP stream to the same box (on the agent's port, which a box without an agent does not use). */
export async function transfer(run: Run): Promise<Row[]> {
  await using bench = await run.booting();
  const { daemon } = bench;
  run.tell('Files');
  const box = await bench.create({ runtime: 'bash' });
  const url = `${daemon.url}/v1/boxes/${box.id}/files/content?path=bench.bin`;
  const headers = { 'X-API-Key': daemon.key };
  const upload = await timed(async () => {
    const response = await fetch(url, { method: 'PUT', headers, body: Buffer.alloc(size, 7) });
    if (!response.ok) throw new Error(`upload: ${response.status} ${await response.text()}`);
  });
  const download = await timed(async () => {
    let bytes = 0;
    for await (const chunk of (await fetch(url, { headers })).body ?? []) bytes += chunk.byteLength;
    if (bytes !== size) throw new Error(`download: ${bytes} bytes`);
  });
  const stream = await bareStream(bench, box);
  const row = (what: string, ms: number): Row => ({
    what,
    ours: rate(ms),
    against: `bare TCP stream, ${rate(stream)}`,
    ratio: `${((100 * stream) / ms).toFixed(0)} %`,
    target: `at least ${100 * target} %`,
    met: stream / ms >= target,
  });
  return [row('download of a file', download.ms), row('upload of a file', upload.ms)];
}

/** ms for the same bytes out of the box, with the least that can listen. */
async function bareStream(bench: BenchDaemon, { id, vm_ip: address }: Box): Promise<number> {
  if (address === null) throw new Error('the box has no address');
  const command = `/opt/citb/bin/busybox nc -l -p ${guestPorts.agent} < /workspace/bench.bin`;
  await bench.json('POST', `/v1/boxes/${id}/exec`, { command, background: true });
  await bench.exec(id, 'sleep 1');
  const { ms } = await timed(async () => {
    const socket = connect(guestPorts.agent, address);
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.byteLength;
      if (bytes >= size) socket.destroy();
    });
    await once(socket, 'close');
    if (bytes < size) throw new Error(`raw stream: ${bytes} bytes`);
  });
  return ms;
}
