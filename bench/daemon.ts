import type { Box, BoxEvent, HostStatus } from '@citb/api';
import { commandLines, signalProcess } from '@citb/host/vmm/process.ts';
import { readArguments } from '@citb/host/vmm/qemu/command-line.ts';
import { Daemon, lines, until } from '../test/vm/harness.ts';

/** How often ending is tried anew: who is impatient interrupts again, and that ends the daemon too. */
const endings = 3;

/** So long after its start a daemon has begun what it begins by itself, ms. */
const quietMs = 2000;

/** A host daemon for measuring, which leaves nothing behind, also when the benchmark is interrupted. */
export class BenchDaemon implements AsyncDisposable {
  readonly #daemon: Daemon;
  readonly #signal: AbortSignal;

  private constructor(daemon: Daemon, signal: AbortSignal) {
    this.#daemon = daemon;
    this.#signal = signal;
  }

  static async start(environment: Record<string, string>, signal: AbortSignal): Promise<BenchDaemon> {
    signal.throwIfAborted();
    // Nothing but what is asked for happens to boxes that are measured.
    return new BenchDaemon(await Daemon.start({ CITB_IDLE_S: '0', CITB_LOG_LEVEL: 'warn', ...environment }), signal);
  }

  get dataDir(): string {
    return this.#daemon.dataDir;
  }

  get daemon(): Daemon {
    return this.#daemon;
  }

  get pid(): number {
    return this.#daemon.pid;
  }

  /** A call that must succeed, as JSON. @throws the signal's reason; an Error with the host's own */
  async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    this.#signal.throwIfAborted();
    return await this.#daemon.json<T>(method, path, body);
  }

  async create(body: object): Promise<Box> {
    return await this.json<Box>('POST', '/v1/boxes', body);
  }

  async kill(id: string): Promise<void> {
    const response = await this.#daemon.call('DELETE', `/v1/boxes/${id}`);
    if (!response.ok && response.status !== 404) throw new Error(`a box could not be killed: ${response.status} ${await response.text()}`);
    await response.body?.cancel();
  }

  /** A command in a box that must succeed. */
  async exec(id: string, command: string): Promise<void> {
    const response = await this.#daemon.call('POST', `/v1/boxes/${id}/exec`, { command });
    const text = await response.text();
    if (!response.ok || !/"exit_code":\s*0\b/.test(text)) throw new Error(`the command ${command} in a box: ${response.status} ${text}`);
  }

  /** How a box's machine came up each time: boot, template or restore. @throws when it could not be brought back once */
  async starts(id: string): Promise<string[]> {
    const found: string[] = [];
    const { run_id: present } = await this.json<Box>('GET', `/v1/boxes/${id}`);
    for await (const { type, content } of lines<BoxEvent>(await this.#daemon.call('GET', `/v1/boxes/${id}/events`))) {
      if (type === 'wake_failed') throw new Error(`the memory of a box could not be brought back: ${JSON.stringify(content)}`);
      if (type !== 'running') continue;
      found.push(String(content['how']));
      if (content['run_id'] === present) break;
    }
    return found;
  }

  /** @throws Error with what the host says of it, when a new box is not a clone of a template */
  async mustBeClone(id: string): Promise<void> {
    const [how] = await this.starts(id);
    if (how === 'template') return;
    const logs = await this.#daemon.call('GET', `/v1/boxes/${id}/logs?tail=20`, undefined, { Accept: 'text/plain' });
    throw new Error(`a box came up by ${how}:\n${await logs.text()}\n${this.#daemon.log.slice(-4000)}`);
  }

  /** Resolves when no template is being made: it would take half the cores from what is measured. One begins with the daemon. */
  async quiet(): Promise<void> {
    let since = performance.now();
    await until('no template is being made', async () => {
      const { templates } = await this.json<HostStatus>('GET', '/status');
      if (templates.some(({ state }) => state === 'building')) since = performance.now();
      return performance.now() - since > quietMs;
    });
  }

  /** Resolves when boxes of a runtime are cloned, which the first one asks for. */
  async templateOf(runtime: string): Promise<HostStatus['templates'][number]> {
    const find = async (): Promise<HostStatus['templates'][number] | undefined> => {
      const { templates } = await this.json<HostStatus>('GET', '/status');
      return templates.find((template) => template.runtime === runtime);
    };
    if ((await find()) === undefined) await this.kill((await this.create({ runtime })).id);
    return await until(`the template of ${runtime}`, async () => {
      const template = await find();
      if (template === undefined) throw new Error(`no template of ${runtime} is made:\n${this.#daemon.log.slice(-2000)}`);
      return template.state === 'ready' && template;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let tries = 1; tries <= endings; tries++) {
      try {
        await this.#killAll();
        break;
      } catch (error) {
        console.error(`The boxes could not be killed (${tries} of ${endings}): ${(error as Error).message}`);
      }
    }
    await this.#daemon[Symbol.asyncDispose]().catch((error: unknown) => console.error(error));
    await endMachines(this.dataDir);
  }

  /** An interrupt from a terminal reaches the daemon too, which leaves the boxes running: another one kills them. */
  async #killAll(): Promise<void> {
    if (this.#signal.aborted) {
      await this.#daemon.end('SIGTERM');
      await this.#daemon.launch();
    }
    for (;;) {
      const { boxes } = await this.#daemon.json<{ boxes: Box[] }>('GET', '/v1/boxes?limit=50');
      if (boxes.length === 0) return;
      await Promise.all(boxes.map((box) => this.kill(box.id)));
    }
  }
}

/** What nobody answers for any more: ends the machines whose files lie in a data directory of our own. */
async function endMachines(dataDir: string): Promise<void> {
  for await (const { identity, args } of commandLines()) {
    if (readArguments(args)?.folder.startsWith(`${dataDir}/`) !== true) continue;
    console.error(`A machine was left, process ${identity.pid}; it is ended.`);
    signalProcess(identity, 'SIGKILL');
  }
}
