import { setTimeout as sleep } from 'node:timers/promises';
import { anyState, type FollowedTask, KnownBox } from './box.ts';
import { readDatabase } from './check/database.ts';
import type { Answer, Client, Outcome } from './client.ts';
import { jsonOf } from './client.ts';
import { commands } from './commands.ts';
import { exec } from './exec.ts';
import { follow } from './follow.ts';
import { contentOf, hashOf } from './hash.ts';
import { importBox } from './import.ts';
import type { Operation, Which } from './plan.ts';
import { diskMib } from './shapes.ts';
import { forgets, moved, put, removed, same } from './steps.ts';
import { Violation } from './violation.ts';
import { emptyWorld, type Step, type World, taskFile } from './world.ts';

const longestRestMs = 30_000;

/** A caller with a box, and one that it makes of it: one operation after another, and what follows from each answer. */
export class Lane {
  readonly boxes = new Map<Which, KnownBox>();
  /** Something was killed since all was last compared: errors of what it takes with it are no fault then. */
  disturbed = false;
  readonly #client: Client;
  readonly #dataDir: string;
  readonly #name: string;
  /** What it did, for the report. */
  readonly history: string[] = [];
  readonly #idleS: number;
  #keys = 0;

  /** @param idleS seconds without activity after which its boxes sleep; 0: never */
  constructor(client: Client, dataDir: string, name: string, idleS: number) {
    this.#client = client;
    this.#dataDir = dataDir;
    this.#name = name;
    this.#idleS = idleS;
  }

  async perform(operation: Operation): Promise<void> {
    const known = this.boxes.get(operation.box);
    if (operation.kind === 'create') return await this.#create(operation.box, operation.runtime);
    if (known === undefined) return;
    switch (operation.kind) {
      case 'write': {
        const content = contentOf(operation.bytes, operation.content);
        const path = `/v1/boxes/${known.id}/files/content?path=${operation.path}`;
        return void (await this.#step(
          known,
          operation,
          () => this.#client.ask('PUT', path, { bytes: content }),
          put(operation.path, content),
        ));
      }
      case 'exec':
        return await this.#exec(
          known,
          operation,
          commands.write(operation.path, operation.text),
          put(operation.path, Buffer.from(operation.text)),
        );
      case 'remember': {
        await this.#exec(known, operation, commands.remember(operation.word), (world) => ({
          answer: 'ok',
          world: { ...world, memory: operation.word },
        }));
        // While things are killed it may be lost right after it was kept, and told before this line.
        if (!this.disturbed) known.memorySince = readDatabase(this.#dataDir, (database) => database.lastEvent(known.id));
        return;
      }
      case 'move': {
        const { from, to } = operation;
        const json = { from, to, overwrite: true };
        return void (await this.#step(
          known,
          operation,
          () => this.#client.ask('POST', `/v1/boxes/${known.id}/files/move`, { json }),
          (world) => moved(world, from, to),
        ));
      }
      case 'remove': {
        const path = `/v1/boxes/${known.id}/files/content?path=${operation.path}`;
        return void (await this.#step(
          known,
          operation,
          () => this.#client.ask('DELETE', path),
          (world) => removed(world, operation.path),
        ));
      }
      case 'read':
        return await this.#read(known, operation, operation.path);
      case 'task':
        return await this.#task(known, operation);
      case 'pause':
        return await this.#pause(known, operation);
      case 'rest':
        return await this.#rest(known, operation);
      case 'resume':
        return void (await this.#step(known, operation, () => this.#client.ask('POST', `/v1/boxes/${known.id}/resume`), same));
      case 'stop':
        await this.#step(known, operation, () => this.#client.ask('POST', `/v1/boxes/${known.id}/stop`), forgets, ['stopped']);
        return;
      case 'checkpoint':
        return await this.#checkpoint(known, operation, operation.memory);
      case 'restore':
        return await this.#restore(known, operation, operation.checkpoint);
      case 'forget':
        return await this.#forget(known, operation, operation.checkpoint);
      case 'fork':
        return await this.#fork(operation);
      case 'transfer':
        return await this.#transfer(operation);
      case 'kill':
        return await this.kill(operation.box);
    }
  }

  /** Kills the box; the answer means that nothing of it is left. */
  async kill(which: Which): Promise<void> {
    const known = this.boxes.get(which);
    if (known === undefined) return;
    known.gone = true;
    const answer = await this.#client.insist('DELETE', `/v1/boxes/${known.id}`);
    this.#note({ kind: 'kill', box: which }, answer);
    if (answer.code !== 'ok' && answer.code !== 'box_not_found')
      throw new Violation(`the kill of ${known.id} was answered ${said(answer)}`);
    this.boxes.delete(which);
    const left = readDatabase(this.#dataDir, (database) => database.boxes().filter((row) => row.id === known.id));
    if (left.length > 0) throw new Violation(`the box ${known.id} was killed, but its row is there: ${JSON.stringify(left)}`);
  }

  async #create(which: Which, runtime: string): Promise<void> {
    const known = this.boxes.get(which);
    const userId = `${this.#name}-${which}`;
    const json = { user_id: userId, runtime, disk_mib: diskMib, idle_s: this.#idleS };
    const answer = await this.#insist('POST', '/v1/boxes', { json, headers: known === undefined ? this.#key() : {} });
    this.#note({ kind: 'create', box: which, runtime }, answer);
    if (answer.code !== 'ok') return this.#excuse(answer, 'create');
    const { id } = jsonOf<{ id: string }>(answer);
    if (known === undefined)
      this.boxes.set(which, new KnownBox(id, userId, runtime === 'claude-agent', [emptyWorld], this.#states('running')));
    else if (known.id !== id) throw new Violation(`the box of ${userId} was ${known.id}, a second creation says ${id}`);
    else known.states = new Set(anyState);
  }

  /** One request that changes the box from one world to another. True when it was answered as it should be. */
  async #step(
    known: KnownBox,
    operation: Operation,
    ask: () => Promise<Outcome>,
    step: (world: World) => Step,
    states: readonly string[] = ['running'],
  ): Promise<boolean> {
    const outcome = await ask();
    this.#note(operation, outcome);
    if (outcome !== undefined && known.belief.answered(step, outcome.code)) {
      known.states = new Set(states.flatMap((state) => this.#states(state)));
      return true;
    }
    known.states = new Set(anyState);
    if (outcome !== undefined) this.#excuse(outcome, operation.kind);
    known.belief.unanswered(step);
    return false;
  }

  async #exec(known: KnownBox, operation: Operation, command: string, step: (world: World) => Step): Promise<void> {
    await this.#step(
      known,
      operation,
      async () => {
        const outcome = await exec(this.#client, known.id, command);
        return outcome === undefined
          ? undefined
          : { code: outcome.code, status: outcome.code === 'ok' ? 200 : 503, body: Buffer.from(outcome.output) };
      },
      step,
    );
  }

  async #read(known: KnownBox, operation: Operation, path: string): Promise<void> {
    let content: Buffer | undefined;
    const ask = async (): Promise<Outcome> => {
      const outcome = await this.#client.ask('GET', `/v1/boxes/${known.id}/files/content?path=${path}`);
      content = outcome?.code === 'ok' ? outcome.body : undefined;
      return outcome;
    };
    const answered = await this.#step(known, operation, ask, (world) => ({
      answer: world.files[path] === undefined ? 'file_not_found' : 'ok',
      world,
    }));
    if (!answered || content === undefined) return;
    const hash = hashOf(content);
    if (!known.belief.found((world) => world.files[path] === hash))
      throw new Violation(`${path} of ${known.id} has ${hash}, and no acknowledged content does: ${JSON.stringify(known.belief.worlds)}`);
  }

  async #task(known: KnownBox, operation: Extract<Operation, { kind: 'task' }>): Promise<void> {
    const { mark, words, ms } = operation;
    const content = `file of ${mark}\n`;
    const file = hashOf(Buffer.from(content));
    known.belief.change((world) => ({ ...world, open: { ...world.open, [mark]: file } }));
    const json = { prompt: `[[scenario:long words=${words} ms=${ms}]] ${mark}`, files: { [taskFile(mark)]: content } };
    const answer = await this.#insist('POST', `/v1/boxes/${known.id}/tasks`, { json, headers: this.#key() });
    this.#note(operation, answer);
    known.states = new Set(anyState);
    if (answer.code !== 'ok') return this.#excuse(answer, 'task');
    const task: FollowedTask = { id: jsonOf<{ id: string }>(answer).id, mark, seen: [], detached: false, over: Promise.resolve() };
    known.tasks.push(task);
    task.over = follow(this.#client, known, task);
    // It is waited for when all is compared.
    task.over.catch(() => undefined);
    if (operation.background) return;
    await task.over;
    const last = task.seen.at(-1);
    if (last?.type === 'completion' && last.outcome !== 'done' && !this.disturbed)
      throw new Violation(`the task ${task.id} ended as ${last.outcome} though nothing was killed: ${last.content}`);
  }

  async #pause(known: KnownBox, operation: Operation): Promise<void> {
    const outcome = await this.#client.ask('POST', `/v1/boxes/${known.id}/pause`);
    this.#note(operation, outcome);
    const before = known.states;
    known.states = new Set(outcome?.code === 'ok' ? this.#states('paused') : anyState);
    if (outcome?.code === 'box_not_running' && before.has('stopped')) known.states = new Set(this.#states('stopped'));
    else if (outcome !== undefined && outcome.code !== 'ok') this.#excuse(outcome, 'pause');
  }

  /** Until the box sleeps by itself. On a machine that is very busy it never seems to rest, and where things are killed it may boot instead. */
  async #rest(known: KnownBox, operation: Operation): Promise<void> {
    const end = performance.now() + longestRestMs;
    for (;;) {
      const outcome = await this.#client.ask('GET', `/v1/boxes/${known.id}`);
      const state = outcome?.code === 'ok' ? jsonOf<{ state: string }>(outcome).state : undefined;
      if (state !== 'running' || this.disturbed || performance.now() > end) return this.#note(operation, outcome);
      await sleep(50);
    }
  }

  async #checkpoint(known: KnownBox, operation: Operation, memory: boolean): Promise<void> {
    this.#admitLoss(known);
    const { worlds } = known.belief;
    const outcome = await this.#client.ask('POST', `/v1/boxes/${known.id}/checkpoints`, { json: { memory } });
    this.#note(operation, outcome);
    if (outcome?.code === 'ok') {
      const made = jsonOf<{ id: string; memory: boolean }>(outcome);
      known.checkpoints.push({ id: made.id, worlds: made.memory ? worlds : worlds.map((world) => ({ ...world, memory: null })) });
      return;
    }
    known.uncertainCheckpoints += 1;
    if (outcome !== undefined) this.#excuse(outcome, 'checkpoint');
  }

  async #restore(known: KnownBox, operation: Operation, number: number): Promise<void> {
    const checkpoint = known.checkpoints[number % Math.max(1, known.checkpoints.length)];
    if (checkpoint === undefined) return;
    for (const task of known.tasks) task.detached = true;
    const outcome = await this.#client.ask('POST', `/v1/boxes/${known.id}/checkpoints/${checkpoint.id}/restore`);
    this.#note(operation, outcome);
    if (outcome?.code === 'ok') {
      known.belief.allow(checkpoint.worlds);
      known.belief.found((world) => checkpoint.worlds.includes(world));
      known.states = new Set(this.#states('running'));
      return;
    }
    known.states = new Set(anyState);
    if (outcome !== undefined) this.#excuse(outcome, 'restore');
    known.belief.allow(checkpoint.worlds);
  }

  async #forget(known: KnownBox, operation: Operation, number: number): Promise<void> {
    const [checkpoint] = known.checkpoints.splice(number % Math.max(1, known.checkpoints.length), 1);
    if (checkpoint === undefined) return;
    const outcome = await this.#client.ask('DELETE', `/v1/boxes/${known.id}/checkpoints/${checkpoint.id}`);
    this.#note(operation, outcome);
    if (outcome?.code === 'ok') return;
    known.uncertainCheckpoints += 1;
    if (outcome !== undefined) this.#excuse(outcome, 'forget');
  }

  async #fork(operation: Operation): Promise<void> {
    const source = this.boxes.get('first');
    if (source === undefined || this.boxes.has('second')) return;
    this.#admitLoss(source);
    const { worlds } = source.belief;
    const userId = `${this.#name}-second`;
    const answer = await this.#insist('POST', `/v1/boxes/${source.id}/fork`, { json: { user_id: userId }, headers: this.#key() });
    this.#note(operation, answer);
    if (answer.code !== 'ok') return this.#excuse(answer, 'fork');
    const fork = new KnownBox(jsonOf<{ id: string }>(answer).id, userId, source.agent, worlds, this.#states('running'));
    if (this.#lossTold(source)) fork.belief.allow(worlds.map((world) => ({ ...world, memory: null })));
    this.boxes.set('second', fork);
  }

  async #transfer(operation: Operation): Promise<void> {
    const source = this.boxes.get('first');
    if (source === undefined || this.boxes.has('second')) return;
    const { worlds } = source.belief;
    const exported = await this.#client.ask('GET', `/v1/boxes/${source.id}/export`);
    this.#note(operation, exported);
    if (exported === undefined) return;
    if (exported.code !== 'ok') return this.#excuse(exported, 'export');
    const userId = `${this.#name}-second`;
    const { id, refusal } = await importBox(this.#client, userId, exported.body);
    if (id === undefined) return this.#excuse(refusal, 'import');
    const cold = worlds.map((world) => ({ ...world, memory: null }));
    this.boxes.set('second', new KnownBox(id, userId, source.agent, cold, ['stopped']));
  }

  #insist(...request: Parameters<Client['insist']>): Promise<Answer> {
    return this.#client.insist(...request);
  }

  #key(): Record<string, string> {
    return { 'Idempotency-Key': `${this.#name}-${this.#keys++}` };
  }

  /** Killed things change states by themselves. */
  #states(state: string): readonly string[] {
    return this.disturbed ? anyState : [state];
  }

  #lossTold(known: KnownBox): boolean {
    return readDatabase(this.#dataDir, (database) => database.memoryLossTold(known.id, known.memorySince));
  }

  #admitLoss(known: KnownBox): void {
    if (this.#lossTold(known)) known.belief.allow(known.belief.worlds.map((world) => ({ ...world, memory: null })));
  }

  /** @throws Violation when nothing explains the answer */
  #excuse(answer: Answer, what: string): void {
    // A machine that is gone makes errors of the box; an error that nobody expected never is one.
    const ofBox = answer.status >= 500 && answer.code !== 'internal';
    if (this.disturbed && (ofBox || answer.code === 'box_not_running' || answer.code.startsWith('exit'))) return;
    throw new Violation(`${what} was answered ${said(answer)}`);
  }

  #note(operation: Operation, outcome: Outcome): void {
    this.history.push(
      `${this.#name}: ${JSON.stringify(operation)} -> ${outcome?.code ?? 'no answer'}${this.disturbed ? ' (disturbed)' : ''}`,
    );
  }
}

function said({ code, status, body }: Answer): string {
  return `${status} ${code}: ${body.toString().slice(0, 1000)}`;
}
