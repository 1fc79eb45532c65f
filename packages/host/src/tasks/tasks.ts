import { agentPaths, ApiError, limits, type Task } from '@citb/api';
import type { BoxAccess, LiveBox } from '../boxes/access.ts';
import type { ModelKeys } from '../boxes/ports.ts';
import type { GuestClients } from '../guest/clients.ts';
import type { Idempotency } from '../idempotency.ts';
import type { NewTask, Tasks } from '../services.ts';
import type { Store } from '../store.ts';
import { finish } from './finish.ts';
import { cancelInGuest, handOver } from './handover.ts';
import { TaskHub } from './hub.ts';
import { newTaskId } from './ids.ts';
import { defaultPatience, type Patience } from './patience.ts';
import { pump, type PumpParts } from './pump.ts';
import { createRecorder, type RecordEvents } from './record.ts';
import { readEvents } from './stream.ts';
import { agentRequest, identityOf, keyScope } from './request.ts';
import { tidyGuest } from './tidy.ts';
import { createTaskTable, taskOf, type TaskRow } from './table.ts';
import { type BeforeTask, Turns } from './turns.ts';

export interface TasksParts {
  readonly store: Store;
  readonly access: BoxAccess;
  readonly clients: GuestClients;
  readonly keys: ModelKeys;
  readonly idempotency: Idempotency;
  readonly beforeTask?: BeforeTask;
  readonly patience?: Patience;
  readonly now?: () => Date;
}

/** The service, and what `main.ts` does with it. */
export interface TasksService extends Tasks {
  /** Goes on with every unfinished task; call it once when the boxes are reconciled. */
  resume(): void;
  /** For the status page. */
  counts(boxId: string): { running: number; queued: number };
  /** The box goes back to an earlier state: what has not ended ends as interrupted. Nothing is asked of the guest, nobody is waited for. */
  rolledBack(boxId: string): void;
  /** Stops following; tasks go on in their boxes and are taken up by the next daemon. Open streams end. */
  close(): Promise<void>;
}

/** Result of a task that was cancelled while it waited: the guest's words for the same. */
const cancelledEarly = 'The task was cancelled before it began.';

/** Characters of the prompt that a listing shows. */
const promptShown = 2000;

export function createTasks({
  store,
  access,
  clients,
  keys,
  idempotency,
  beforeTask = () => Promise.resolve(),
  patience = defaultPatience,
  now = () => new Date(),
}: TasksParts): TasksService {
  const table = createTaskTable(store);
  const hub = new TaskHub();
  const turns = new Turns(table, beforeTask);
  const recorder = createRecorder(store, table, hub, now);
  const record: RecordEvents = (taskId, events) => {
    const recorded = recorder(taskId, events);
    const over = recorded.state === 'ended' ? table.find(taskId) : undefined;
    if (over !== undefined) turns.moveOn(over.box_id);
    return recorded;
  };
  const pumpParts: PumpParts = { table, record, access, clients, patience, turns };
  const stopped = new AbortController();
  const pumps = new Map<string, { boxId: string; abort: AbortController; done: Promise<void> }>();
  /** Tasks whose first hand-over is under way: no pump yet, so that its failure can still be the caller's answer. */
  const starting = new Map<string, Promise<void>>();

  function follow(boxId: string, taskId: string): void {
    if (stopped.signal.aborted || pumps.has(taskId) || starting.has(taskId)) return;
    const abort = new AbortController();
    const done = followToEnd(boxId, taskId, AbortSignal.any([abort.signal, stopped.signal]));
    pumps.set(taskId, { boxId, abort, done });
  }

  async function followToEnd(boxId: string, taskId: string, signal: AbortSignal): Promise<void> {
    // A box with a task is not idle, also while the agent is silent or waits for an answer.
    using _busy = access.use(boxId);
    try {
      if ((await pump(pumpParts, boxId, taskId, signal)) === 'no-box') bury(boxId);
    } catch (error) {
      access.note(boxId, `task ${taskId}: following it failed: ${String(error)}`);
    } finally {
      pumps.delete(taskId);
    }
  }

  function required(boxId: string, taskId: string): TaskRow {
    const row = table.find(taskId);
    if (row === undefined || row.box_id !== boxId || row.buried === 1) throw new ApiError('task_not_found');
    return row;
  }

  function open(boxId: string, taskId: string): TaskRow {
    const row = required(boxId, taskId);
    if (row.ended !== null) throw new ApiError('task_ended');
    return row;
  }

  function isOver(taskId: string): boolean {
    return table.find(taskId)?.ended !== null;
  }

  /** First hand-over, while the caller waits: what the box says against the task is the caller's answer, and nothing is kept then. */
  async function offer(box: LiveBox, row: TaskRow): Promise<void> {
    try {
      if (!(await turns.prepare(box, row.id)) || isOver(row.id)) return;
      await handOver(table, clients.agent(box), row, stopped.signal);
      // Rolled back meanwhile, and the guest has a task again that is over.
      if (isOver(row.id)) await cancelInGuest(clients.agent(box), row.id, stopped.signal);
    } catch (error) {
      // Out of reach: the task is recorded, the pump hands it over when the box is back.
      if (error instanceof ApiError && error.code === 'box_unreachable') return;
      table.remove(row.id);
      idempotency.forget(keyScope(row.box_id), row.id);
      turns.moveOn(row.box_id);
      throw error;
    } finally {
      starting.delete(row.id);
    }
  }

  /** The task that the same request made under this key before. @throws idempotency_conflict */
  function earlier(boxId: string, request: NewTask, key: string | undefined): TaskRow | undefined {
    const id = key === undefined ? undefined : idempotency.find(keyScope(boxId), key, identityOf(request));
    return id === undefined ? undefined : table.find(id);
  }

  /** What an earlier request is answered with: what the box says against its task counts for both. */
  async function again({ id, box_id }: TaskRow): Promise<Task> {
    await starting.get(id);
    return taskOf(required(box_id, id));
  }

  /** Records the task before anything else happens with it. */
  function add(boxId: string, request: NewTask, key: string | undefined): { row: TaskRow; added: boolean } {
    return store.transaction(() => {
      // Looked up again: the box was woken in between, and two requests may have waited for it.
      const known = earlier(boxId, request, key);
      if (known !== undefined) return { row: known, added: false };
      if (table.unfinishedOf(boxId).length >= limits.tasksPerBox) throw new ApiError('queue_full');
      const id = newTaskId();
      table.add({
        id,
        boxId,
        conversation: request.options.conversation ?? 'main',
        prompt: request.prompt.slice(0, promptShown).toWellFormed(),
        created: now().toISOString(),
        request: JSON.stringify(agentRequest(id, request)),
      });
      if (key !== undefined) idempotency.remember(keyScope(boxId), key, identityOf(request), id);
      return { row: required(boxId, id), added: true };
    });
  }

  const leave = [
    access.onStarted((box) => {
      for (const row of table.unfinishedOf(box.id)) follow(box.id, row.id);
      if (box.agent)
        void tidyGuest(pumpParts, box, stopped.signal).catch((error: unknown) =>
          access.note(box.id, `old tasks stay in the box: ${String(error)}`),
        );
    }),
    access.onKilled(async (boxId) => {
      const ours = [...pumps.values()].filter((each) => each.boxId === boxId);
      for (const { abort } of ours) abort.abort();
      await Promise.all(ours.map(({ done }) => done));
      bury(boxId);
    }),
  ];

  /** The box is gone: its open tasks end, and the rows go; those that somebody reads, when they are read to the end. */
  function bury(boxId: string): void {
    for (const row of table.unfinishedOf(boxId)) finish(record, row, new ApiError('box_killed'), 'interrupted');
    for (const id of table.bury(boxId)) hub.whenUnread(id, () => table.remove(id));
  }

  return {
    async start(boxId, request, idempotencyKey) {
      const known = earlier(boxId, request, idempotencyKey);
      if (known !== undefined) return again(known);
      using _busy = access.use(boxId);
      const box = await access.awake(boxId);
      if (!box.agent) throw new ApiError('no_agent');
      if (request.modelKey !== undefined) keys.set(boxId, request.modelKey);
      if (keys.forBox(boxId) === undefined) throw new ApiError('no_model_key');
      const { row, added } = add(boxId, request, idempotencyKey);
      if (!added) return again(row);
      const ahead = turns.ahead(boxId, row.id);
      if (ahead > 0) {
        record(row.id, [{ event: { type: 'status', content: { status: 'queued', position: ahead } } }]);
      } else {
        const offered = offer(box, row);
        starting.set(row.id, offered);
        await offered;
      }
      const recorded = table.find(row.id);
      if (recorded === undefined) throw new ApiError('box_killed');
      follow(boxId, row.id);
      return taskOf(recorded);
    },

    async get(boxId, taskId) {
      return taskOf(required(boxId, taskId));
    },

    async list(boxId, { limit, cursor }) {
      if (cursor !== undefined && !/^[1-9]\d{0,14}$/.test(cursor)) {
        throw new ApiError('invalid_request', 'cursor: use `next` of the last page', { field: 'cursor' });
      }
      const rows = table.page(boxId, cursor === undefined ? Number.MAX_SAFE_INTEGER : Number(cursor), limit + 1);
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      return { tasks: page.map(taskOf), next: rows.length > limit && last !== undefined ? String(last.number) : null };
    },

    async cancel(boxId, taskId) {
      const row = open(boxId, taskId);
      if (table.isHeld(row)) {
        record(taskId, [{ event: { type: 'completion', content: cancelledEarly, outcome: 'interrupted', stop_reason: null } }]);
        return taskOf(required(boxId, taskId));
      }
      table.cancelAsked(row.id);
      const box = access.ifRunning(boxId);
      // A task that the guest does not have yet, or a box that is away: the pump brings it, and the cancellation with it.
      if (box !== undefined && table.spooled(row) === undefined) {
        await cancelInGuest(clients.agent(box), taskId, stopped.signal).catch((error: unknown) => {
          if (!(error instanceof ApiError)) throw error;
        });
      }
      // It was asked for now, so a box that sleeps is woken for it; who cancels need not wait for that.
      if (box === undefined)
        access.awake(boxId).catch((error: unknown) => access.note(boxId, `not woken for a cancellation: ${String(error)}`));
      return taskOf(required(boxId, taskId));
    },

    async answer(boxId, taskId, questionId, answer) {
      if (table.isHeld(open(boxId, taskId))) throw new ApiError('question_not_found');
      const box = await access.awake(boxId);
      const path = `${agentPaths.tasks}/${taskId}/answers/${encodeURIComponent(questionId)}`;
      await clients.agent(box).done({ method: 'POST', path, body: { json: answer } });
    },

    async *events(boxId, taskId, after, signal) {
      required(boxId, taskId);
      yield* readEvents(table, hub, taskId, after, signal);
    },

    resume() {
      table.removeBuried();
      for (const row of table.unfinished()) follow(row.box_id, row.id);
    },

    counts(boxId) {
      const rows = table.unfinishedOf(boxId);
      const running = rows.filter(({ state }) => state === 'running').length;
      return { running, queued: rows.length - running };
    },

    rolledBack(boxId) {
      // Not waited for: they may wait for the box's writer, which waits for this.
      for (const each of pumps.values()) if (each.boxId === boxId) each.abort.abort();
      for (const row of table.unfinishedOf(boxId)) finish(record, row, new ApiError('rolled_back'), 'interrupted');
    },

    async close() {
      for (const stop of leave) stop();
      stopped.abort();
      hub.close();
      await Promise.all([
        ...[...pumps.values()].map(({ done }) => done),
        ...[...starting.values()].map((each) => each.catch(() => undefined)),
      ]);
    },
  };
}
