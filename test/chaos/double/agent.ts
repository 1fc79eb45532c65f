import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentTask, AgentTaskRequest } from '@citb/api';
import { ApiError } from '@citb/api/errors.ts';
import type { Answer, Question, Service } from './answers.ts';
import { type GuestState, type GuestTask, isOver } from './state.ts';

/** A started agent server. */
export interface Agent {
  readonly service: Service;
  /** As a kill: nothing more happens in it. */
  stop(): void;
}

/**
 * An agent server over the records of the disk: one task at a time. The model's script is the prompt: `words=` deltas with `ms=` between
 * them, or `scenario:recall`, the conversation so far.
 * @param restored the machine goes on from a snapshot, so what ran goes on; otherwise it ended with the machine
 */
export function startAgent(state: GuestState, token: () => string, restored: boolean): Agent {
  const readers = new Set<() => void>();
  const stopped = new AbortController();
  let working = false;

  const emit = (task: GuestTask, ...[event]: [Parameters<GuestState['emit']>[1]]): void => {
    if (stopped.signal.aborted) return;
    state.emit(task.request.id, event);
    for (const wake of readers) wake();
  };

  function end(task: GuestTask, outcome: 'done' | 'interrupted', content: string): void {
    emit(task, { type: 'completion', content, outcome, stop_reason: outcome === 'done' ? 'end_turn' : null });
  }

  async function perform(task: GuestTask): Promise<void> {
    const { prompt, files } = task.request;
    if (task.state === 'queued') {
      for (const [path, content] of Object.entries(files))
        state.write(
          path,
          Buffer.from(typeof content === 'string' ? content : content.base64, typeof content === 'string' ? 'utf8' : 'base64'),
        );
      emit(task, { type: 'status', content: { status: 'started' } });
    }
    const said = prompt.includes('scenario:recall') ? JSON.stringify(state.said) : 'word '.repeat(number(prompt, 'words')).trim();
    const deltas = said.startsWith('[') ? [said] : said.split(' ');
    for (let index = task.events.length - 1; index < deltas.length; index += 1) {
      await sleep(number(prompt, 'ms'), undefined, { signal: stopped.signal });
      if (isOver(task)) return;
      emit(task, { type: 'text_delta', content: deltas[index] ?? '', index: 0 });
    }
    emit(task, { type: 'text', content: said });
    state.say(`user: ${prompt}`);
    state.say(`assistant: ${said}`);
    end(task, 'done', said);
  }

  async function work(): Promise<void> {
    if (working) return;
    working = true;
    for (;;) {
      const next = [...state.tasks.values()].find((task) => !isOver(task));
      if (next === undefined || stopped.signal.aborted) break;
      await perform(next).catch(() => undefined);
    }
    working = false;
  }

  for (const task of state.tasks.values()) if (task.state === 'running' && !restored) end(task, 'interrupted', 'The agent was restarted.');
  void work();

  return {
    stop: () => {
      stopped.abort();
      for (const wake of readers) wake();
    },
    service: (question, response) => {
      if (question.token !== token()) throw new ApiError('unauthorized');
      return answer(question, response);
    },
  };

  function answer(question: Question, response: ServerResponse): Answer | undefined {
    const [, top, id = '', verb] = question.path.split('/');
    const { method } = question;
    if (top === 'health') return { status: 200, json: { agent: 'ready', version: '1', parked: true } };
    if (method === 'GET' && id === '') return { status: 200, json: { tasks: [...state.tasks.values()].map(told) } };
    if (method === 'POST' && id === '') {
      const request = JSON.parse(question.body.toString()) as AgentTaskRequest;
      if (!state.tasks.has(request.id)) state.take(request);
      void work();
      return { status: 202, json: told(find(request.id)) };
    }
    const task = find(id);
    if (method === 'DELETE') {
      state.forget(id);
      return { status: 204 };
    }
    if (verb === 'cancel') {
      if (isOver(task)) throw new ApiError('task_ended');
      end(task, 'interrupted', 'Cancelled.');
      return { status: 202 };
    }
    if (verb === 'events') {
      stream(task, Number(question.query.get('after')), response).catch(() => response.destroy());
      return undefined;
    }
    return { status: 200, json: told(task) };
  }

  function find(id: string): GuestTask {
    const task = state.tasks.get(id);
    if (task === undefined) throw new ApiError('task_not_found');
    return task;
  }

  async function stream(task: GuestTask, after: number, response: ServerResponse): Promise<void> {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    for (let next = after; !response.destroyed && !stopped.signal.aborted;) {
      for (; next < task.events.length; next += 1) response.write(`${JSON.stringify(task.events[next])}\n`);
      if (isOver(task)) return void response.end();
      const { promise, resolve } = Promise.withResolvers<void>();
      readers.add(resolve);
      response.once('close', resolve);
      const heartbeat = setInterval(() => response.write('\n'), 1000);
      await promise;
      clearInterval(heartbeat);
      response.off('close', resolve);
      readers.delete(resolve);
    }
    response.destroy();
  }
}

function told({ request, state, events }: GuestTask): AgentTask {
  return { id: request.id, state, last_seq: events.length };
}

function number(prompt: string, name: string): number {
  return Number(new RegExp(`${name}=(\\d+)`).exec(prompt)?.[1] ?? 0);
}
