import type { TaskEvent } from '@citb/api';

/** One reader of a task's events. It holds no events: it is only told that there is something to read. */
export interface Subscription extends Disposable {
  /** Resolves true when there was news since the last call, or as soon as there is; false after `ms` of quiet. An abort is news. */
  news(ms: number): Promise<boolean>;
  /** Set when nothing will come any more: the last events of a task whose rows are gone. */
  readonly farewell: readonly TaskEvent[] | undefined;
}

/** Who waits for events of which task. */
export class TaskHub {
  readonly #readers = new Map<string, Set<Reader>>();
  #closed = false;

  subscribe(taskId: string, signal: AbortSignal): Subscription {
    const readers = this.#readers.get(taskId) ?? new Set();
    this.#readers.set(taskId, readers);
    const onAbort = (): void => reader.wake();
    const reader = new Reader(() => {
      signal.removeEventListener('abort', onAbort);
      readers.delete(reader);
      if (readers.size === 0 && this.#readers.get(taskId) === readers) this.#readers.delete(taskId);
    });
    signal.addEventListener('abort', onAbort);
    readers.add(reader);
    if (this.#closed) reader.end([]);
    return reader;
  }

  /** Ids of the tasks that somebody reads. */
  read(): string[] {
    return [...this.#readers.keys()];
  }

  /** Something of the task was recorded. */
  wake(taskId: string): void {
    for (const reader of this.#readers.get(taskId) ?? []) reader.wake();
  }

  /** The task's rows are about to go; readers that have not come so far get these last events. */
  end(taskId: string, farewell: readonly TaskEvent[]): void {
    for (const reader of this.#readers.get(taskId) ?? []) reader.end(farewell);
  }

  /** Ends all readers where they are: the host stops. */
  close(): void {
    this.#closed = true;
    for (const taskId of this.#readers.keys()) this.end(taskId, []);
  }
}

class Reader implements Subscription {
  farewell: readonly TaskEvent[] | undefined;
  #news = false;
  #waiting: (() => void) | undefined;
  readonly #leave: () => void;

  constructor(leave: () => void) {
    this.#leave = leave;
  }

  wake(): void {
    this.#news = true;
    this.#waiting?.();
  }

  end(farewell: readonly TaskEvent[]): void {
    this.farewell = farewell;
    this.wake();
  }

  async news(ms: number): Promise<boolean> {
    if (!this.#news) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#waiting = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#waiting = undefined;
    }
    const news = this.#news;
    this.#news = false;
    return news;
  }

  [Symbol.dispose](): void {
    this.#leave();
  }
}
