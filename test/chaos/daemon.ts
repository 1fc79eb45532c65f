import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { defaultDataDir } from '@citb/images';
import { patience, until } from '../vm/harness.ts';
import { calm, said, type Wish, type WishMessage, wishVariable } from './death/wish.ts';
import { doubleMemoryMib } from './shapes.ts';
import { Violation } from './violation.ts';

export type Driver = 'double' | 'qemu';

const programs: Readonly<Record<Driver, URL>> = {
  double: new URL('double/host.ts', import.meta.url),
  qemu: new URL('../../packages/host/src/main.ts', import.meta.url),
};

const preload = new URL('death/preload.ts', import.meta.url);
const compiled = new URL('../../node_modules/.cache/chaos', import.meta.url).pathname;

/** What a daemon did, by the names of its steps. */
export interface DaemonSteps {
  /** Those it came to, each with those before which the daemon had died of whose successors one came to it. */
  readonly passed: ReadonlyMap<string, ReadonlySet<string>>;
  /** Those before which it died, one for each death. */
  readonly diedBefore: readonly string[];
}

/** A host daemon that is started again whenever it was killed, as an init system would, on a data directory of its own. */
export class Daemon implements AsyncDisposable {
  readonly dataDir: string;
  readonly driver: Driver;
  readonly key = 'key-of-the-chaos-suite-0123456789';
  #diedBefore: string[] = [];
  #passed = new Map<string, Set<string>>();
  readonly #modelUrl: string;
  readonly #killAtExit = (): void => this.kill();
  #child: ChildProcess | undefined;
  #url = '';
  #log = '';
  #ready: Promise<void> = Promise.resolve();
  #ending = false;
  /** The steps before which whichever comes to one of them dies. */
  #before: readonly string[] = [];
  /** The next one that is started dies before this step of its own. */
  #nextIn: number | undefined;
  /** The step before which the present one has died, and the one before which its predecessor has. */
  #death: string | undefined;
  #deathBefore: string | undefined;

  private constructor(dataDir: string, driver: Driver, modelUrl: string) {
    this.dataDir = dataDir;
    this.driver = driver;
    this.#modelUrl = modelUrl;
  }

  /** @param before steps before each of which it dies once, also when that is in its very first start */
  static async start(driver: Driver, modelUrl: string, before: readonly string[] = []): Promise<Daemon> {
    const dataDir = await mkdtemp(join(tmpdir(), 'citb-chaos-'));
    // Machines run under a uid of their own and must be able to come to their folder.
    await chmod(dataDir, 0o711);
    const images = driver === 'qemu' ? join(defaultDataDir(process.env), 'images') : join(dataDir, 'no-images');
    await mkdir(images, { recursive: true });
    await symlink(images, join(dataDir, 'images'));
    const daemon = new Daemon(dataDir, driver, modelUrl);
    process.on('exit', daemon.#killAtExit);
    daemon.#before = before;
    daemon.#begin();
    await daemon.up();
    return daemon;
  }

  /** Resolves when the present one listens. @throws Violation when it does not come up */
  async up(): Promise<string> {
    for (;;) {
      await this.#ready;
      if (this.#alive) return this.#url;
      await sleep(5);
    }
  }

  /** The steps before which it has died since {@link takeSteps}. */
  get diedBefore(): readonly string[] {
    return this.#diedBefore;
  }

  /** The steps of the time since this was last asked, or its first start. */
  takeSteps(): DaemonSteps {
    const steps = { passed: this.#passed, diedBefore: this.#diedBefore };
    this.#passed = new Map();
    this.#diedBefore = [];
    return steps;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get #alive(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The end of what the present one has logged. */
  get log(): string {
    return this.#log;
  }

  /** Kills it with -9. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** The present one kills itself before the n-th step from now on. */
  dieIn(steps: number): void {
    this.#tell({ in: steps });
  }

  /** The next one that is started kills itself before its n-th step. */
  nextDiesIn(steps: number): void {
    this.#nextIn = steps;
  }

  /** Whichever comes first to a step of one of these names kills itself before it; once for each name. */
  dieBefore(names: readonly string[]): void {
    this.#before = names;
    this.#tell({ before: names });
  }

  /** Resolves when a daemon listens that will not kill itself. */
  async calm(): Promise<void> {
    this.#before = [];
    this.#nextIn = undefined;
    for (;;) {
      await this.up();
      // Its death may not have been told yet.
      await sleep(5);
      const child = this.#child;
      if (child === undefined || !this.#alive) continue;
      if ((await this.#isCalm(child)) && child === this.#child && this.#alive) return;
    }
  }

  async #isCalm(child: ChildProcess): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    // Not any message: answers to earlier ones may still be on their way.
    const heard = (message: unknown): void => void (message === calm && resolve(true));
    const died = (): void => resolve(false);
    child.on('message', heard).on('exit', died);
    if (!this.#tell(null)) resolve(false);
    return await promise.finally(() => child.off('message', heard).off('exit', died));
  }

  #tell(die: Wish | null): boolean {
    if (this.#child?.connected !== true) return false;
    this.#child.send({ die } satisfies WishMessage, () => undefined);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true;
    const child = this.#child;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await exited;
    }
    process.off('exit', this.#killAtExit);
    await rm(this.dataDir, { recursive: true, force: true });
  }

  #begin(): void {
    const wish: Wish = { before: this.#before, ...(this.#nextIn === undefined ? {} : { in: this.#nextIn }) };
    this.#nextIn = undefined;
    const child = spawn(process.execPath, ['--import', preload.href, programs[this.driver].pathname], {
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: process.env['HOME'] ?? '/root',
        // Compiled once for all rounds: most of a start is that.
        NODE_COMPILE_CACHE: compiled,
        CITB_PORT: '0',
        CITB_DATA_DIR: this.dataDir,
        CITB_API_KEY: this.key,
        CITB_ANTHROPIC_BASE_URL: this.#modelUrl,
        ANTHROPIC_API_KEY: 'sk-host-default',
        CITB_IDLE_S: '0',
        CITB_TEMPLATES: this.driver === 'qemu' ? '1' : '0',
        ...(this.driver === 'double' ? { CITB_MEMORY_RESERVE_MIB: String(Math.floor(totalmem() / 2 ** 20) - doubleMemoryMib) } : {}),
        [wishVariable]: JSON.stringify(wish),
      },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Ctrl-C at a terminal is for the suite, which ends it when the round has ended.
      detached: true,
    });
    this.#child = child;
    this.#deathBefore = this.#death;
    this.#death = undefined;
    this.#log = `${this.#log.slice(-100_000)}\n--- daemon ${child.pid}\n`;
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => this.#hear(line));
    child.stderr?.on('data', (chunk: Buffer) => this.#note(chunk.toString()));
    this.#ready = this.#listens(child);
    // Whoever needs it is told by `up`.
    this.#ready.catch(() => undefined);
    // Only then all that it said is heard, too.
    child.once('close', (code, signal) => {
      if (this.#ending) return;
      if (signal === 'SIGKILL') this.#begin();
      else this.#ready = Promise.reject(new Violation(`the daemon ended by itself with ${code ?? signal}`));
      this.#ready.catch(() => undefined);
    });
  }

  #hear(line: string): void {
    if (line.startsWith(said.passes)) {
      const name = line.slice(said.passes.length);
      const deaths = this.#passed.get(name) ?? new Set();
      this.#passed.set(name, this.#deathBefore === undefined ? deaths : deaths.add(this.#deathBefore));
      return;
    }
    this.#note(`${line}\n`);
    if (!line.startsWith(said.diesBefore)) return;
    const name = line.slice(said.diesBefore.length);
    this.#diedBefore.push(name);
    this.#death = name;
    this.#before = this.#before.filter((other) => other !== name);
  }

  #note(text: string): void {
    this.#log = (this.#log + text).slice(-400_000);
  }

  async #listens(child: ChildProcess): Promise<void> {
    await until(
      'the daemon answers /health with 200',
      async () => {
        if (child.exitCode !== null || child.signalCode !== null) return true;
        const announced = await readFile(join(this.dataDir, 'host.json'), 'utf8').then(
          (json) => JSON.parse(json) as { url: string; pid: number },
          () => undefined,
        );
        if (announced === undefined || announced.pid !== child.pid) return false;
        this.#url = announced.url;
        return await fetch(`${this.#url}/health`).then(
          (response) => response.status === 200,
          () => false,
        );
      },
      patience,
    );
  }
}
