import { ApiError } from '@citb/api';

/** One piece of work of a writer. It must end soon after its signal aborts. */
type Work<T> = (signal: AbortSignal) => Promise<T>;

interface Job {
  readonly abort: AbortController;
  readonly run: () => Promise<void>;
  readonly refuse: (error: unknown) => void;
}

/**
 * The one writer of one box: its jobs run one after the other, so nothing else needs a lock.
 * Callers that want the box started share one start. A kill goes ahead of everything: it aborts the running job,
 * refuses the waiting ones and every later one.
 */
class Writer<Started> {
  #running: Job | undefined;
  #waiting: Job[] = [];
  #start: { promise: Promise<Started>; abort: AbortController } | undefined;
  #kill: Promise<void> | undefined;
  #idle = Promise.resolve();
  #dead = false;

  /** The box was killed: this writer takes nothing more. */
  get dead(): boolean {
    return this.#dead;
  }

  get idle(): boolean {
    return this.#running === undefined && this.#waiting.length === 0;
  }

  get killing(): Promise<void> | undefined {
    return this.#kill;
  }

  start(work: Work<Started>): Promise<Started> {
    if (this.#start !== undefined && !this.#start.abort.signal.aborted) return this.#start.promise;
    const abort = new AbortController();
    const start = { promise: this.#submit(work, abort), abort };
    this.#start = start;
    const over = (): void => {
      if (this.#start === start) this.#start = undefined;
    };
    start.promise.then(over, over);
    return start.promise;
  }

  run(work: Work<void>): Promise<void> {
    return this.#submit(work, new AbortController());
  }

  kill(work: Work<void>): Promise<void> {
    if (this.#kill !== undefined) return this.#kill;
    this.abortAll(new ApiError('box_killed'));
    const kill = this.#submit(async (signal) => {
      await work(signal);
      this.#dead = true;
    }, new AbortController());
    this.#kill = kill;
    // A kill that failed may be asked for again; the reconciler does.
    kill.catch(() => (this.#kill = undefined));
    return kill;
  }

  abortAll(reason: ApiError): void {
    for (const job of this.#waiting.splice(0)) job.refuse(reason);
    this.#running?.abort.abort(reason);
  }

  /** Resolves when nothing runs or waits. */
  async settled(): Promise<void> {
    while (!this.idle) await this.#idle;
  }

  #submit<T>(work: Work<T>, abort: AbortController): Promise<T> {
    if (this.#kill !== undefined) return Promise.reject(new ApiError('box_killed'));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const run = async (): Promise<void> => {
      try {
        resolve(await work(abort.signal));
      } catch (error) {
        // What a job says when it was aborted is noise; the reason is what its callers want to hear.
        reject(abort.signal.aborted ? (abort.signal.reason as unknown) : error);
      }
    };
    this.#waiting.push({ abort, run, refuse: reject });
    if (this.#running === undefined) this.#idle = this.#drain();
    return promise;
  }

  async #drain(): Promise<void> {
    for (let job = this.#waiting.shift(); job !== undefined; job = this.#waiting.shift()) {
      this.#running = job;
      await job.run();
      this.#running = undefined;
    }
  }
}

/** The writers of all boxes, made when first needed and gone when they have nothing to do. */
export class Writers<Started> {
  #writers = new Map<string, Writer<Started>>();
  #closed: ApiError | undefined;

  /** Starts the box, or joins the start that is on its way. */
  start(boxId: string, work: Work<Started>): Promise<Started> {
    return this.#with(boxId, (writer) => writer.start(work));
  }

  /** Does something to the box after all that was asked for before. @throws box_killed when a kill comes between */
  run(boxId: string, work: Work<void>): Promise<void> {
    return this.#with(boxId, (writer) => writer.run(work));
  }

  /** Kills the box now, or joins the kill that is on its way. */
  kill(boxId: string, work: Work<void>): Promise<void> {
    return this.#with(boxId, (writer) => writer.kill(work));
  }

  /** The kill of the box that is on its way. */
  killing(boxId: string): Promise<void> | undefined {
    const writer = this.#writers.get(boxId);
    return writer?.dead === true ? undefined : writer?.killing;
  }

  /** Something is being done to the box. */
  busy(boxId: string): boolean {
    return this.#writers.get(boxId)?.idle === false;
  }

  /** Aborts what runs and refuses what comes; resolves when all writers are at rest. */
  async close(reason: ApiError): Promise<void> {
    this.#closed = reason;
    const writers = [...this.#writers.values()];
    for (const writer of writers) writer.abortAll(reason);
    await Promise.all(writers.map((writer) => writer.settled()));
  }

  async #with<T>(boxId: string, ask: (writer: Writer<Started>) => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) throw this.#closed;
    const known = this.#writers.get(boxId);
    // An id that was killed may be created again.
    const writer = known === undefined || known.dead ? new Writer<Started>() : known;
    this.#writers.set(boxId, writer);
    const answer = ask(writer);
    void this.#forgetWhenSettled(boxId, writer);
    return await answer;
  }

  async #forgetWhenSettled(boxId: string, writer: Writer<Started>): Promise<void> {
    await writer.settled();
    if (writer.idle && this.#writers.get(boxId) === writer) this.#writers.delete(boxId);
  }
}
