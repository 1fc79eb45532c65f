import { NewsReader } from '../news.ts';

/** One reader of a task's events. It holds no events: it is only told that there is something to read. */
export interface Subscription extends Disposable {
  /** Resolves true when there was news since the last call, or as soon as there is; false after `ms` of quiet. An abort is news. */
  news(ms: number): Promise<boolean>;
  /** Set when nothing more is told: the host stops. */
  readonly closed: boolean;
}

/** Who waits for events of which task. */
export class TaskHub {
  readonly #readers = new Map<string, Set<Reader>>();
  readonly #whenUnread = new Map<string, () => void>();
  #closed = false;

  subscribe(taskId: string, signal: AbortSignal): Subscription {
    const readers = this.#readers.get(taskId) ?? new Set();
    this.#readers.set(taskId, readers);
    const onAbort = (): void => reader.wake();
    const reader = new Reader(() => {
      signal.removeEventListener('abort', onAbort);
      readers.delete(reader);
      if (readers.size === 0 && this.#readers.get(taskId) === readers) this.#unread(taskId);
    });
    signal.addEventListener('abort', onAbort);
    readers.add(reader);
    if (this.#closed) reader.close();
    return reader;
  }

  /** Runs `action` when nobody reads the task any more; at once when nobody does. Not after `close`. */
  whenUnread(taskId: string, action: () => void): void {
    if (this.#readers.has(taskId)) this.#whenUnread.set(taskId, action);
    else action();
  }

  /** Something of the task was recorded. */
  wake(taskId: string): void {
    for (const reader of this.#readers.get(taskId) ?? []) reader.wake();
  }

  /** Ends all readers where they are: the host stops. */
  close(): void {
    this.#closed = true;
    this.#whenUnread.clear();
    for (const readers of this.#readers.values()) for (const reader of readers) reader.close();
  }

  #unread(taskId: string): void {
    this.#readers.delete(taskId);
    const action = this.#whenUnread.get(taskId);
    this.#whenUnread.delete(taskId);
    action?.();
  }
}

class Reader extends NewsReader implements Subscription {
  closed = false;

  close(): void {
    this.closed = true;
    this.wake();
  }
}
