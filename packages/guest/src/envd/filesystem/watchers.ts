import { ApiError } from '@citb/api';
import { freshUuid } from '../../fresh-uuid.ts';
import type { Watch } from '../../tree/index.ts';

/** Watchers that are asked by polling, of the whole box. */
const maxWatchers = 100;
/** A watcher that nobody asks is given up after this long, in ms. */
const forgottenMs = 30 * 60_000;

/** A watch that is polled. `path` is what its changes are relative to. */
export interface PolledWatch {
  readonly watch: Watch;
  readonly path: string;
  readonly includeEntry: boolean;
}

/** The watches of CreateWatcher, by id. */
export class Watchers {
  readonly #all = new Map<string, { readonly polled: PolledWatch; timer: NodeJS.Timeout }>();

  /** @throws ApiError `queue_full` */
  add(polled: PolledWatch): string {
    if (this.#all.size >= maxWatchers) {
      polled.watch.close();
      throw new ApiError('queue_full', `${maxWatchers} watchers are there already.`, { hint: 'Remove one.' });
    }
    const id = `w${freshUuid()}`;
    this.#all.set(id, { polled, timer: this.#timer(id) });
    return id;
  }

  get(id: string): PolledWatch | undefined {
    const found = this.#all.get(id);
    if (found === undefined) return undefined;
    clearTimeout(found.timer);
    found.timer = this.#timer(id);
    return found.polled;
  }

  remove(id: string): boolean {
    const found = this.#all.get(id);
    if (found === undefined) return false;
    clearTimeout(found.timer);
    found.polled.watch.close();
    return this.#all.delete(id);
  }

  close(): void {
    for (const id of Array.from(this.#all.keys())) this.remove(id);
  }

  #timer(id: string): NodeJS.Timeout {
    return setTimeout(() => this.remove(id), forgottenMs).unref();
  }
}
