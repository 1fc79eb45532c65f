import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type NewTaskEvent, type TaskEvent } from '@citb/api';
import { Idempotency } from '../idempotency.ts';
import { BoxDoubles } from '../guest/box.double.ts';
import { createGuestClients } from '../guest/clients.ts';
import { Seal } from '../keys/sealed.ts';
import type { NewTask } from '../services.ts';
import { Store } from '../store.ts';
import { AgentDouble } from './agent.double.ts';
import type { Patience } from './patience.ts';
import { createTasks, type TasksParts, type TasksService } from './tasks.ts';

export const token = 't'.repeat(32);
export const quick: Patience = { pauseMs: 5, pauseMaxMs: 50, stallMs: 5000, giveUpMs: 600, starts: 2, roomMs: 2000 };
export const hello: NewTask = { prompt: 'hello', files: {}, options: {} };
export const done: NewTaskEvent = { type: 'completion', content: 'Done!', outcome: 'done', stop_reason: 'end_turn' };

export function text(content: string): NewTaskEvent {
  return { type: 'text', content };
}

/** A host's task service with one box, whose agent server is a double. */
export async function bench({
  patience = quick,
  key = 'sk-test',
  beforeTask,
}: { patience?: Patience; key?: string | null; beforeTask?: TasksParts['beforeTask'] } = {}) {
  const stack = new AsyncDisposableStack();
  const agent = stack.use(new AgentDouble(token));
  const ports = { agent: await agent.listen() };
  const boxes = new BoxDoubles();
  const store = new Store(':memory:');
  const clients = createGuestClients();
  stack.defer(() => clients.close());
  const keys = new Map<string, string | undefined>([['box', key ?? undefined]]);
  let tasks: TasksService;
  const begin = (): void => {
    tasks = createTasks({
      store,
      access: boxes,
      clients,
      keys: { forBox: (id) => keys.get(id), set: (id, value) => void keys.set(id, value) },
      idempotency: new Idempotency(store, new Seal('ab'.repeat(32)), () => Date.now()),
      patience,
      ...(beforeTask === undefined ? {} : { beforeTask }),
    });
  };
  begin();
  stack.defer(() => tasks.close());
  boxes.start('box', ports, token);
  return {
    agent,
    boxes,
    store,
    keys,
    get tasks() {
      return tasks;
    },
    /** A new run of the box. */
    reboot: () => boxes.start('box', ports, token),
    /** A daemon beside the present one, which is as good as gone. */
    begin,
    /** Another daemon on the same database. */
    async restart() {
      await tasks.close();
      begin();
      tasks.resume();
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

export async function read(
  tasks: TasksService,
  id: string,
  after = 0,
  last?: (event: TaskEvent) => boolean,
  deadlineMs = 20_000,
): Promise<TaskEvent[]> {
  const events: TaskEvent[] = [];
  for await (const event of tasks.events('box', id, after, AbortSignal.timeout(deadlineMs))) {
    if (event === undefined) continue;
    events.push(event);
    if (last?.(event) === true) break;
  }
  return events;
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, 'did not come true');
    await sleep(5);
  }
}

export function code(expected: string): (error: unknown) => boolean {
  return (error) => error instanceof ApiError && error.code === expected;
}

export const contents = (events: readonly TaskEvent[]): unknown[] => events.map(({ content }) => content);
