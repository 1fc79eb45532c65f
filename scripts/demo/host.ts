import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, open, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Citb } from '@citb/sdk';

const main = fileURLToPath(new URL('../../packages/host/src/main.ts', import.meta.url));
/** The daemon boots a machine to choose its accelerator before it is ready. */
const readyWithinMs = 180_000;
/** A daemon that was asked to end gets so long. */
const endWithinMs = 20_000;
/** The daemon begins with a template, if it will, within so long. */
const beginsMs = 5000;
/** A box that is asked to end while the demo ends gets so long. */
const killWithinMs = 60_000;

/** Which accelerator works: found by booting a machine, 2 s under emulation, unless it is known of this boot of the system. */
const verdict = 'qemu-probe.json';

/** A host daemon of the demo's own: on a free port, with a temporary data directory, and the images and templates of this machine. */
export class DemoHost implements AsyncDisposable {
  readonly citb: Citb;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(citb: Citb, child: ChildProcess, folder: string) {
    this.citb = citb;
    this.#child = child;
    this.#folder = folder;
  }

  /**
   * @param dataDir of this machine: its images and templates are shared, and what its daemon found out about QEMU
   * @param settings environment of the daemon beside the process's own
   * @throws Error in a sentence, when the daemon does not become ready
   */
  static async start(
    dataDir: string,
    settings: Readonly<Record<string, string>>,
    report: (progress: string) => void,
    signal: AbortSignal,
  ): Promise<DemoHost> {
    await using undo = new AsyncDisposableStack();
    // On the same file system as what it shares: a clone's memory is a link to its template's.
    const folder = await mkdtemp(join(dataDir, 'demo-'));
    undo.defer(() => rm(folder, { recursive: true, force: true }));
    // Machines may run under a uid of their own and must come to their folder.
    await chmod(folder, 0o711);
    for (const shared of ['images', 'templates']) {
      await mkdir(join(dataDir, shared), { recursive: true, mode: shared === 'templates' ? 0o711 : 0o755 });
      await symlink(join(dataDir, shared), join(folder, shared));
    }
    await copyIfAny(join(dataDir, verdict), join(folder, verdict));

    const apiKey = randomBytes(24).toString('hex');
    const log = await open(logOf(folder), 'a');
    const env = {
      ...process.env,
      ...settings,
      CITB_HOST: '127.0.0.1',
      CITB_PORT: '0',
      CITB_DATA_DIR: folder,
      CITB_API_KEY: apiKey,
    };
    // In a group of its own: Ctrl-C is for the demo, which ends the box before the daemon.
    const child = spawn(process.execPath, [main], { detached: true, env, stdio: ['ignore', log.fd, log.fd] });
    await log.close();
    undo.defer(() => end(child));
    try {
      const citb = new Citb({ url: await address(child, folder, signal), apiKey });
      undo.use(citb);
      await ready(citb, child, report, signal);
      await copyIfAny(join(folder, verdict), join(dataDir, verdict));
      undo.move();
      return new DemoHost(citb, child, folder);
    } catch (error) {
      signal.throwIfAborted();
      throw new Error(`${(error as Error).message} Its log: ${await keepLog(folder)}`, { cause: error });
    }
  }

  /** Resolves when boxes of the runtime can be cloned: at once but for the first time. They boot when it comes to nothing within `withinMs`. */
  async template(runtime: string, withinMs: number, signal: AbortSignal): Promise<void> {
    const began = performance.now();
    for (; performance.now() < began + withinMs; await sleep(250, undefined, { signal })) {
      const { templates } = await this.citb.status();
      const mine = templates.find((template) => template.runtime === runtime);
      if (mine?.state === 'ready') return;
      // It was given up, or templates are switched off.
      if (mine === undefined && performance.now() > began + beginsMs) return;
    }
  }

  /** Keeps the daemon's log beyond the demo; answers where. */
  async keepLog(): Promise<string> {
    return keepLog(this.#folder);
  }

  /** Ends the boxes, then the daemon, and removes what they wrote. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      await Promise.race([killBoxes(this.citb), sleep(killWithinMs, undefined, { ref: false })]).catch(() => undefined);
    }
    await this.citb[Symbol.asyncDispose]();
    await end(this.#child);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function address(child: ChildProcess, folder: string, signal: AbortSignal): Promise<string> {
  const deadline = performance.now() + readyWithinMs;
  while (performance.now() < deadline) {
    alive(child);
    const text = await readFile(join(folder, 'host.json'), 'utf8').catch(() => undefined);
    if (text !== undefined) return (JSON.parse(text) as { url: string }).url;
    await sleep(50, undefined, { signal });
  }
  throw new Error(`The host daemon did not say its address within ${readyWithinMs / 1000} s.`);
}

async function ready(citb: Citb, child: ChildProcess, report: (progress: string) => void, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + readyWithinMs;
  for (;;) {
    alive(child);
    const health = await citb.health();
    if (health.status === 'ok') return;
    report(health.reason ?? health.status);
    if (health.status === 'failed') throw new Error(`The host cannot run boxes: ${health.reason ?? 'it does not say why'}.`);
    if (performance.now() > deadline) throw new Error(`The host was not ready within ${readyWithinMs / 1000} s.`);
    await sleep(250, undefined, { signal });
  }
}

function alive(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null)
    throw new Error(`The host daemon ended by itself (${child.exitCode ?? child.signalCode}).`);
}

async function killBoxes(citb: Citb): Promise<void> {
  for await (const box of citb.boxes.list()) await box.kill().catch(() => undefined);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), endWithinMs);
  await ended;
  clearTimeout(late);
}

function logOf(folder: string): string {
  return join(folder, 'host.log');
}

async function copyIfAny(from: string, to: string): Promise<void> {
  await copyFile(from, to).catch(() => undefined);
}

async function keepLog(folder: string): Promise<string> {
  const kept = join(tmpdir(), `citb-demo-host-${process.pid}.log`);
  await copyFile(logOf(folder), kept);
  return kept;
}
