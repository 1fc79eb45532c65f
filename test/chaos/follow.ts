import type { TaskEvent } from '@citb/api';
import { lines } from '../vm/harness.ts';
import type { FollowedTask, KnownBox } from './box.ts';
import type { Client } from './client.ts';
import { Violation } from './violation.ts';
import { done } from './world.ts';

/**
 * Reads the events of a task to their end, over every cut, and holds them to their promise: numbered without a gap, completion last.
 * What a task that is done has left belongs to its box from then on.
 */
export async function follow(client: Client, box: KnownBox, task: FollowedTask): Promise<void> {
  for (;;) {
    const after = task.seen.length;
    const status = await read(client, box, task, after);
    const last = task.seen.at(-1);
    if (last?.type === 'completion') {
      if (last.outcome === 'done' && !task.detached) box.belief.change((world) => done(world, task.mark));
      return;
    }
    if (box.gone) return;
    if (status === 404) throw new Violation(`the task ${task.id} of ${box.id} is not known any more`);
    // A stream that was cut at once is asked for again, but not in a tight loop.
    if (task.seen.length === after) await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** @returns the status of the answer; undefined when there was none or it was cut */
async function read(client: Client, box: KnownBox, task: FollowedTask, after: number): Promise<number | undefined> {
  try {
    const response = await client.open('GET', `/v1/boxes/${box.id}/tasks/${task.id}/events?after=${after}`);
    if (!response.ok) {
      await response.body?.cancel();
      return response.status;
    }
    for await (const event of lines<TaskEvent | { type: 'stream_error' }>(response)) {
      if (event.type === 'stream_error') break;
      take(task, event);
    }
    return response.status;
  } catch (error) {
    if (error instanceof Violation) throw error;
    return undefined;
  }
}

function take(task: FollowedTask, event: TaskEvent): void {
  const expected = task.seen.length + 1;
  if (event.seq !== expected) throw new Violation(`the task ${task.id} sent event ${event.seq} where ${expected} comes`);
  if (task.seen.at(-1)?.type === 'completion') throw new Violation(`the task ${task.id} sent ${event.type} after its completion`);
  task.seen.push(event);
}
