import { once } from 'node:events';
import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import { packetBytes } from '@citb/host/vmm/qemu/command-line.ts';
import { BareStream } from './bare-stream.ts';
import { median, timed } from './measure.ts';
import type { Run } from './run.ts';
import type { Row } from './table.ts';

const mib = 1024 * 1024;
const size = 64 * mib;
/** Each way, by turns, after one round that does not count. */
const rounds = 5;

/** Bytes of a packet as QEMU has them. */
const plainPacketBytes = 1500;

/** What of QEMU's own channel a file should reach. */
const target = 0.8;

const rate = (ms: number): string => `${(size / mib / (ms / 1000)).toFixed(0)} MiB/s`;

/** Upload and download through the API against the bare channel to the same box. Its memory has room for the files. */
export async function transfer(run: Run): Promise<Row[]> {
  await using bench = await run.booting();
  const { daemon } = bench;
  const box = await bench.create({ runtime: 'python', memory_mib: 1024 });
  const file = `${daemon.url}/v1/boxes/${box.id}/files/content?path=bench.bin`;
  const content = Buffer.alloc(size, 7);
  const upload = async (): Promise<void> => {
    await exchange(file, { method: 'PUT', headers: { 'X-API-Key': daemon.key, 'Content-Length': String(size) } }, content);
  };
  const download = async (): Promise<void> => {
    const bytes = await exchange(file, { headers: { 'X-API-Key': daemon.key } });
    if (bytes !== size) throw new Error(`download: ${bytes} bytes`);
  };
  const bare = await BareStream.start(bench, box, size);
  const ways = { up: upload, down: download, out: () => bare.out(), stored: () => bare.stored(), plain: () => bare.out() };
  const taken: Record<keyof typeof ways, number[]> = { up: [], down: [], out: [], stored: [], plain: [] };
  for (let round = 0; round <= rounds; round++) {
    run.tell(round === 0 ? 'Files' : `Files, ${round} of ${rounds}`);
    for (const way of ['up', 'down', 'out', 'stored', 'plain'] as const) {
      await bare.packets(way === 'plain' ? plainPacketBytes : packetBytes);
      const { ms } = await timed(ways[way]);
      if (round > 0) taken[way].push(ms);
    }
  }
  const plain = 'bare TCP stream out of the box, packets of 1500';
  return [
    held(row('download of a file', taken.down, plain, taken.plain)),
    held(row('upload of a file', taken.up, plain, taken.plain)),
    row('download of a file', taken.down, 'bare TCP stream out of the box', taken.out),
    row('upload of a file', taken.up, 'bare TCP stream into a file, synced', taken.stored),
  ];
}

/** Medians of ours and of what it is compared with, ms. */
function row(what: string, ours: readonly number[], name: string, raw: readonly number[]): Row & { share: number } {
  const [ms, compared] = [median(ours), median(raw)];
  const share = compared / ms;
  return { what, ours: rate(ms), against: `${name}, ${rate(compared)}`, ratio: `${(100 * share).toFixed(0)} %`, share };
}

function held({ share, ...shown }: Row & { share: number }): Row {
  return { ...shown, target: `at least ${100 * target} %`, met: share >= target };
}

/** Bytes of the answer to a request that must succeed, by Node's own HTTP client: `fetch` takes longer for each chunk than the host does. */
async function exchange(url: string, options: RequestOptions, body?: Buffer): Promise<number> {
  const call = request(url, options).end(body);
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  let bytes = 0;
  answer.on('data', (chunk: Buffer) => (bytes += chunk.byteLength));
  await once(answer, 'end');
  if (answer.statusCode !== 200 && answer.statusCode !== 201) throw new Error(`${options.method ?? 'GET'} ${url}: ${answer.statusCode}`);
  return bytes;
}
