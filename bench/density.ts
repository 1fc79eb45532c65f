import { readFileSync, statfsSync } from 'node:fs';
import type { Box, HostStatus, UsageReport } from '@citb/api';
import { BenchDaemon } from './daemon.ts';
import { duration, mebibytes, median, timed } from './measure.ts';
import type { Row } from './table.ts';

const gib = 1024 ** 3;
/** What is left to the machine and its other users, in bytes: below it no more boxes are made. */
const reserve = { memory: 2 * gib, disk: 5 * gib };
const goals = { parked: 1000, running: 150 };
const runtime = 'bash';
const progressEvery = 10;
/** Boxes that are asked for a command at the end, out of all that run. */
const asked = 10;

/** What the machine has left, in bytes. */
interface Room {
  readonly memory: number;
  readonly disk: number;
}

interface Made {
  readonly boxes: readonly Box[];
  /** Why there are not more, where fewer were made than wished. */
  readonly stopped: string | undefined;
  readonly before: Room;
  readonly after: Room;
}

/**
 * Makes boxes of 256 MiB from a template, first those that are then paused, then those that run, all of them kept until the end.
 * @param signal interrupts it; all boxes are killed in any case
 */
export async function density(wish: { parked: number; running: number }, signal: AbortSignal): Promise<Row[]> {
  await using bench = await BenchDaemon.start(
    {
      CITB_TEMPLATES: '1',
      // The most there is: this host is to be filled until the machine says no.
      CITB_MEMORY_OVERSUBSCRIPTION: '16',
      CITB_MAX_BOXES: String(wish.parked + wish.running + 10),
    },
    signal,
  );
  console.error('The templates ...');
  await bench.quiet();
  await bench.templateOf(runtime);

  const parked = await fill(bench, 'parked', wish.parked, signal, async (box) => {
    await bench.json('POST', `/v1/boxes/${box.id}/pause`);
  });
  const parkedDisk = await meanDisk(bench);
  const running = await fill(bench, 'running', wish.running, signal, async () => {});
  console.error('What they hold, and whether they answer ...');
  const rows = [
    ...parkedRows(wish.parked, parked, parkedDisk),
    ...runningRows(wish.running, running, await ownMemory(bench, running.boxes)),
    ...(await answerRows(bench, running.boxes, parked.boxes)),
    { what: 'memory of the host daemon', ours: mebibytes(residentBytes(bench.pid)) },
  ];
  console.error('Boxes are being killed ...');
  return rows;
}

async function fill(
  bench: BenchDaemon,
  what: string,
  count: number,
  signal: AbortSignal,
  then: (box: Box) => Promise<void>,
): Promise<Made> {
  const before = roomOf(bench.dataDir);
  const boxes: Box[] = [];
  let stopped: string | undefined;
  let since = performance.now();
  while (boxes.length < count && stopped === undefined) {
    signal.throwIfAborted();
    stopped = tooFull(roomOf(bench.dataDir));
    if (stopped !== undefined) break;
    try {
      const box = await bench.create({ runtime });
      await then(box);
      boxes.push(box);
    } catch (error) {
      signal.throwIfAborted();
      stopped = (error as Error).message;
    }
    if (boxes.length % progressEvery !== 0 || stopped !== undefined) continue;
    const { memory, disk } = roomOf(bench.dataDir);
    const each = duration((performance.now() - since) / progressEvery);
    console.error(`${boxes.length} of ${count} ${what}; left: ${gibs(memory)} of memory, ${gibs(disk)} of disk; ${each} each`);
    since = performance.now();
  }
  if (stopped !== undefined) console.error(`No more than ${boxes.length} ${what}: ${stopped}`);
  return { boxes, stopped, before, after: roomOf(bench.dataDir) };
}

function roomOf(path: string): Room {
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  const { bavail, bsize } = statfsSync(path);
  return { memory: Number(available) * 1024, disk: bavail * bsize };
}

function tooFull({ memory, disk }: Room): string | undefined {
  if (memory < reserve.memory) return `${gibs(memory)} of memory are left, ${gibs(reserve.memory)} are kept free`;
  if (disk < reserve.disk) return `${gibs(disk)} of disk are left, ${gibs(reserve.disk)} are kept free`;
  return undefined;
}

/** Bytes a box on the disk. */
async function meanDisk(bench: BenchDaemon): Promise<number> {
  const { boxes, total_bytes: total } = await bench.json<UsageReport>('GET', '/v1/usage');
  return total / boxes.length;
}

/** Bytes that each box's machine holds for itself: what the machines share with the template counts for none. */
async function ownMemory(bench: BenchDaemon, boxes: readonly Box[]): Promise<number[]> {
  const wanted = new Set(boxes.map(({ id }) => id));
  const { boxes: all } = await bench.json<HostStatus>('GET', '/status');
  return all.filter(({ id }) => wanted.has(id)).map((box) => (box.memory_used_mib ?? 0) * 1024 * 1024);
}

function parkedRows(wished: number, { boxes, before, after, stopped }: Made, disk: number): Row[] {
  if (wished === 0) return [];
  return [
    reached('parked boxes', boxes.length, wished, goals.parked, stopped),
    { what: '  memory of the machine, each', ours: mebibytes((before.memory - after.memory) / boxes.length) },
    {
      what: '  disk: files and memory, each',
      ours: mebibytes(disk),
      against: `by free space, ${freed(before, after, boxes.length)}`,
    },
  ];
}

function runningRows(wished: number, { boxes, before, after, stopped }: Made, own: readonly number[]): Row[] {
  if (wished === 0) return [];
  return [
    reached('running boxes', boxes.length, wished, goals.running, stopped),
    { what: '  memory of the machine, each', ours: mebibytes((before.memory - after.memory) / boxes.length) },
    { what: '  own memory of the VMM, p50', ours: mebibytes(median(own)) },
    { what: '  disk, each', ours: freed(before, after, boxes.length) },
  ];
}

/** Full as the machine is now. */
async function answerRows(bench: BenchDaemon, running: readonly Box[], parked: readonly Box[]): Promise<Row[]> {
  const row = async (what: string, boxes: readonly Box[]): Promise<Row[]> => {
    const some = boxes.filter((_, index) => index % Math.ceil(boxes.length / asked) === 0);
    if (some.length === 0) return [];
    const samples: number[] = [];
    for (const { id } of some) samples.push((await timed(() => bench.exec(id, 'true'))).ms);
    return [{ what, ours: duration(median(samples)) }];
  };
  return [...(await row('command in a running box, p50', running)), ...(await row('command in a parked box, p50', parked))];
}

function reached(what: string, count: number, wished: number, goal: number, stopped: string | undefined): Row {
  return {
    what,
    ours: `${count} boxes`,
    against: `wished: ${wished} boxes`,
    target: `${goal} boxes`,
    // Who wishes for fewer and gets them has not shown that there is no room for more.
    ...(count >= goal || stopped !== undefined ? { met: count >= goal } : {}),
  };
}

function freed(before: Room, after: Room, boxes: number): string {
  return mebibytes((before.disk - after.disk) / boxes);
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

function gibs(bytes: number): string {
  return `${(bytes / gib).toFixed(1)} GiB`;
}
