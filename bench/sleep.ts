import { setTimeout as sleep } from 'node:timers/promises';
import type { Box } from '@citb/api';
import type { BenchDaemon } from './daemon.ts';
import { duration, median, timed, times } from './measure.ts';
import type { Run } from './run.ts';
import type { Row } from './table.ts';

const runtime = 'bash';
const memoryMib = 256;
const wakeTargetMs = 300;
/**
 * In this, what the step before has left to be done is done, ms: machines that end, a disk that is made ahead. Not longer: after a second
 * of rest the processors of a virtual host come back slowly, and a create took 396 ms instead of 272, a wake 341 instead of 268.
 */
const restMs = 100;

interface Times {
  readonly clone: number;
  readonly fork: number;
  readonly pause: number;
  readonly wake: number;
  /** A command in a paused box, to its end. */
  readonly command: number;
}

/** Pause, wake and fork of a small box, each by turns with the clone of a template that it is compared with. */
export async function sleepAndFork(run: Run): Promise<Row[]> {
  const { daemon } = await run.cloning();
  await run.templateOf(runtime);
  const box = await daemon.create({ runtime, memory_mib: memoryMib });
  run.tell(`${run.samples} times clone, fork, pause and wake of a box with ${memoryMib} MiB`);
  const rounds: Times[] = [];
  for (let round = 0; round <= run.samples; round++) {
    const took = await once(daemon, box.id);
    // The first reads what the others find in memory.
    if (round > 0) rounds.push(took);
  }
  const starts = await daemon.starts(box.id);
  if (starts.filter((how) => how === 'restore').length !== 2 * (run.samples + 1))
    throw new Error(`the box did not wake each time: ${starts.join(', ')}`);
  await daemon.kill(box.id);
  return rowsOf(rounds);
}

async function once(daemon: BenchDaemon, id: string): Promise<Times> {
  const clone = await alone(() => daemon.create({ runtime, memory_mib: memoryMib }));
  await daemon.kill(clone.value.id);
  const fork = await alone(() => daemon.json<Box>('POST', `/v1/boxes/${id}/fork`, {}));
  await daemon.kill(fork.value.id);
  const pause = await alone(() => daemon.json('POST', `/v1/boxes/${id}/pause`));
  const wake = await alone(() => daemon.json('POST', `/v1/boxes/${id}/resume`));
  await daemon.json('POST', `/v1/boxes/${id}/pause`);
  const command = await alone(() => daemon.exec(id, 'true'));
  return { clone: clone.ms, fork: fork.ms, pause: pause.ms, wake: wake.ms, command: command.ms };
}

async function alone<T>(work: () => Promise<T>): Promise<{ value: T; ms: number }> {
  await sleep(restMs);
  return await timed(work);
}

function rowsOf(rounds: readonly Times[]): Row[] {
  const of = (pick: (round: Times) => number): number => median(rounds.map(pick));
  const clone = of((round) => round.clone);
  const row = (what: string, ms: number): Row => ({
    what,
    ours: duration(ms),
    against: `create from template, ${duration(clone)}`,
    ratio: times(ms / clone),
  });
  const wake = of((round) => round.wake);
  return [
    row(
      'pause, p50',
      of((round) => round.pause),
    ),
    { ...row('wake, p50', wake), target: `below ${wakeTargetMs} ms`, met: wake < wakeTargetMs },
    row(
      'command in a paused box, p50',
      of((round) => round.command),
    ),
    row(
      'fork, p50',
      of((round) => round.fork),
    ),
  ];
}
