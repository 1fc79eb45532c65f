import { once } from 'node:events';
import { connect } from 'node:net';
import { guestPorts } from '@citb/api';
import type { Daemon } from '../test/vm/harness.ts';
import { type Row, timed } from './measure.ts';

const mib = 1024 * 1024;
const size = 64 * mib;

/** MiB a second. */
const rate = (ms: number): number => size / mib / (ms / 1000);

/** Upload and download through the API against a bare TCP stream to the same box (on the agent's port, which a box without an agent does not use). */
export async function transfer(daemon: Daemon, user: string): Promise<Row[]> {
  const { boxes } = await daemon.json<{ boxes: { id: string; vm_ip: string }[] }>('GET', `/v1/boxes?user_id=${user}`);
  const box = boxes[0];
  if (box === undefined) throw new Error('no box');
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
  const listen = async (command: string): Promise<void> => {
    const response = await daemon.call('POST', `/v1/boxes/${box.id}/exec`, { command, background: true });
    if (!response.ok) throw new Error(await response.text());
    await daemon.call('POST', `/v1/boxes/${box.id}/exec`, { command: 'sleep 1' }).then((answer) => answer.text());
  };
  await listen(`/opt/citb/bin/busybox nc -l -p ${guestPorts.agent} < /workspace/bench.bin`);
  const rawOut = await timed(async () => {
    const socket = connect(guestPorts.agent, box.vm_ip);
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.byteLength;
      if (bytes >= size) socket.destroy();
    });
    await once(socket, 'close');
    if (bytes < size) throw new Error(`raw stream: ${bytes} bytes`);
  });
  const row = (what: string, ms: number): Row => ({
    what,
    value: `${rate(ms).toFixed(0)} MiB/s`,
    ratio: `${((100 * rawOut.ms) / ms).toFixed(0)} % of the bare stream`,
    target: '80 %',
  });
  return [
    { what: 'bare TCP stream out of the box', value: `${rate(rawOut.ms).toFixed(0)} MiB/s` },
    row('download of a file', download.ms),
    row('upload of a file', upload.ms),
  ];
}
