import type { AgentTaskRequest, NewTaskEvent, TaskEvent, TaskState } from '@citb/api';

import type { RecordDisk } from './disk.ts';

/** A task as the guest has it on its disk. */
export interface GuestTask {
  readonly request: AgentTaskRequest;
  readonly events: TaskEvent[];
  state: TaskState;
}

type Change =
  | { readonly kind: 'file'; readonly path: string; readonly content: string | null }
  | { readonly kind: 'move'; readonly from: string; readonly to: string }
  | { readonly kind: 'task'; readonly request: AgentTaskRequest }
  | { readonly kind: 'event'; readonly task: string; readonly event: TaskEvent }
  | { readonly kind: 'forget'; readonly task: string }
  | { readonly kind: 'said'; readonly line: string };

export function isOver({ state }: GuestTask): boolean {
  return state !== 'queued' && state !== 'running';
}

/** What a box of the double has: every change is on its disk before it is seen. */
export class GuestState {
  readonly files = new Map<string, Buffer>();
  readonly tasks = new Map<string, GuestTask>();
  /** The conversation, both sides. */
  readonly said: string[] = [];
  readonly #disk: RecordDisk;

  constructor(disk: RecordDisk) {
    this.#disk = disk;
    for (const change of disk.read()) this.#take(change as Change);
  }

  write(path: string, content: Buffer): void {
    this.#change({ kind: 'file', path, content: content.toString('base64') });
  }

  remove(path: string): void {
    this.#change({ kind: 'file', path, content: null });
  }

  move(from: string, to: string): void {
    this.#change({ kind: 'move', from, to });
  }

  take(request: AgentTaskRequest): void {
    this.#change({ kind: 'task', request });
  }

  emit(task: string, event: NewTaskEvent): void {
    const seq = (this.tasks.get(task)?.events.length ?? 0) + 1;
    this.#change({ kind: 'event', task, event: { ...event, seq, ts: new Date().toISOString() } });
  }

  forget(task: string): void {
    this.#change({ kind: 'forget', task });
  }

  say(line: string): void {
    this.#change({ kind: 'said', line });
  }

  #change(change: Change): void {
    this.#disk.append(change);
    this.#take(change);
  }

  #take(change: Change): void {
    switch (change.kind) {
      case 'file':
        if (change.content === null) this.files.delete(change.path);
        else this.files.set(change.path, Buffer.from(change.content, 'base64'));
        return;
      case 'move': {
        const content = this.files.get(change.from);
        this.files.delete(change.from);
        if (content !== undefined) this.files.set(change.to, content);
        return;
      }
      case 'task':
        this.tasks.set(change.request.id, { request: change.request, events: [], state: 'queued' });
        return;
      case 'event': {
        const task = this.tasks.get(change.task);
        if (task === undefined) return;
        task.events.push(change.event);
        if (change.event.type === 'completion') task.state = change.event.outcome;
        else if (!isOver(task)) task.state = 'running';
        return;
      }
      case 'forget':
        this.tasks.delete(change.task);
        return;
      case 'said':
        this.said.push(change.line);
    }
  }
}
