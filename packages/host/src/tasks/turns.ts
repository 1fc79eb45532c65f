import { ApiError } from '@citb/api';
import type { LiveBox } from '../boxes/access.ts';
import type { TaskTable } from './table.ts';

/** Called before a task is handed over, with nothing else at work in its box. @throws host_stopping alone */
export type BeforeTask = (box: LiveBox, taskId: string) => Promise<void>;

/**
 * Tasks wait here, and not in their box, for those before them: each is handed over when the one before it is over, so that what is
 * done before a task finds just what the others left. All of it is in the rows: another daemon goes on with the same order.
 */
export class Turns {
  readonly #table: TaskTable;
  readonly #beforeTask: BeforeTask;
  /** Who waits in which box. */
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(table: TaskTable, beforeTask: BeforeTask) {
    this.#table = table;
    this.#beforeTask = beforeTask;
  }

  /** Unfinished tasks of the box before this one. */
  ahead(boxId: string, taskId: string): number {
    return this.#table.unfinishedOf(boxId).findIndex(({ id }) => id === taskId);
  }

  /** Resolves when the task's turn has come, it is over, or the signal aborts. */
  async wait(boxId: string, taskId: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.#hasCome(boxId, taskId)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const waiting = this.#waiting.get(boxId) ?? new Set();
      this.#waiting.set(boxId, waiting.add(resolve));
      const onAbort = (): void => resolve();
      signal.addEventListener('abort', onAbort);
      await promise;
      signal.removeEventListener('abort', onAbort);
      waiting.delete(resolve);
      if (waiting.size === 0 && this.#waiting.get(boxId) === waiting) this.#waiting.delete(boxId);
    }
  }

  /** A task of the box is over, or was never begun. */
  moveOn(boxId: string): void {
    for (const wake of this.#waiting.get(boxId) ?? []) wake();
  }

  /** Does what is done before a task, once. False: the host stops, and the next one does it. */
  async prepare(box: LiveBox, taskId: string): Promise<boolean> {
    const row = this.#table.find(taskId);
    if (row === undefined || !this.#table.isHeld(row)) return true;
    try {
      await this.#beforeTask(box, taskId);
    } catch (error) {
      if (error instanceof ApiError && error.code === 'host_stopping') return false;
      throw error;
    }
    this.#table.prepared(taskId);
    return true;
  }

  #hasCome(boxId: string, taskId: string): boolean {
    const row = this.#table.find(taskId);
    return row === undefined || !this.#table.isHeld(row) || this.ahead(boxId, taskId) === 0;
  }
}
