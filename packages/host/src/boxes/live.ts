import type { Logger } from '@citb/daemon';
import type { Vm } from '../vmm/vmm.ts';
import type { Asleep, LiveBox } from './access.ts';

/** Boxes whose machines run, and who wants to know of them. In memory only: after a restart of the daemon adoption fills it again. */
export class LiveBoxes {
  readonly #log: Logger;
  readonly #boxes = new Map<string, LiveBox>();
  readonly #asleep = new WeakMap<Vm, Asleep>();
  readonly #started = new Set<(box: LiveBox) => void>();
  readonly #lost = new Set<(box: LiveBox) => void>();
  readonly #killed = new Set<(boxId: string) => Promise<void> | void>();

  constructor(log: Logger) {
    this.#log = log;
  }

  get(boxId: string): LiveBox | undefined {
    return this.#boxes.get(boxId);
  }

  all(): LiveBox[] {
    return [...this.#boxes.values()];
  }

  /** The box is awake: listeners are told. */
  add(box: LiveBox): void {
    this.#boxes.set(box.id, box);
    for (const listener of this.#started) this.#guard('started', box.id, () => listener(box));
  }

  /** Takes the box out; false when this incarnation is not the present one (a late callback). */
  take(box: LiveBox): boolean {
    if (this.#boxes.get(box.id)?.runId !== box.runId) return false;
    return this.#boxes.delete(box.id);
  }

  /** The machine of this incarnation is about to end because the box goes to sleep: who loses a connection by it can be told. */
  fallsAsleep({ vm }: LiveBox, how: Asleep): void {
    this.#asleep.set(vm, how);
  }

  /** How this incarnation went to sleep; undefined: it has not, or ended by itself. */
  wentToSleep({ vm }: LiveBox): Asleep | undefined {
    return this.#asleep.get(vm);
  }

  lost(box: LiveBox): void {
    for (const listener of this.#lost) this.#guard('lost', box.id, () => listener(box));
  }

  /** Resolves when all listeners have done what they do with a killed box, at latest after `deadlineMs`. */
  async killed(boxId: string, deadlineMs: number): Promise<void> {
    const { promise: deadline, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, deadlineMs);
    const told = [...this.#killed].map(async (listener) => {
      try {
        await listener(boxId);
      } catch (error) {
        this.#log.error({ err: error, box: boxId }, 'a listener to killed boxes failed');
      }
    });
    await Promise.race([Promise.all(told), deadline]);
    clearTimeout(timer);
  }

  onStarted(listener: (box: LiveBox) => void): () => void {
    this.#started.add(listener);
    return () => this.#started.delete(listener);
  }

  onLost(listener: (box: LiveBox) => void): () => void {
    this.#lost.add(listener);
    return () => this.#lost.delete(listener);
  }

  onKilled(listener: (boxId: string) => Promise<void> | void): () => void {
    this.#killed.add(listener);
    return () => this.#killed.delete(listener);
  }

  /** A listener's mistake must not stop the others, nor the box. */
  #guard(what: string, boxId: string, tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#log.error({ err: error, box: boxId }, `a listener to ${what} boxes failed`);
    }
  }
}
