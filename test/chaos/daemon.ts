import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { defaultDataDir } from '@citb/images';
import { patience, until } from '../vm/harness.ts';
import type { DieAt } from './double/death.ts';
import { Violation } from './violation.ts';

export type Driver = 'double' | 'qemu';

const programs: Readonly<Record<Driver, URL>> = {
  double: new URL('double/host.ts', import.meta.url),
  qemu: new URL('../../packages/host/src/main.ts', import.meta.url),
};

const compiled = new URL('../../node_modules/.cache/chaos', import.meta.url).pathname;

/** A host daemon that is started again whenever it was killed, as an init system would, on a data directory of its own. */
export class Daemon implements AsyncDisposable {
  readonly dataDir: string;
  readonly driver: Driver;
  readonly key = 'key-of-the-chaos-suite-0123456789';
  /** Names of the steps before which it died. */
  readonly diedBefore: string[] = [];
  readonly #modelUrl: string;
  #child: ChildProcess | undefined;
  #url = '';
  #log = '';
  #ready: Promise<void> = Promise.resolve();
  #ending = false;
  /** Steps after which the next one to be started dies. */
  #nextDiesAt: number | undefined;

  private constructor(dataDir: string, driver: Driver, modelUrl: string) {
    this.dataDir = dataDir;
    this.driver = driver;
    this.#modelUrl = modelUrl;
  }

  static async start(driver: Driver, modelUrl: string): Promise<Daemon> {
    const dataDir = await mkdtemp(join(tmpdir(), 'citb-chaos-'));
    // Machines run under a uid of their own and must be able to come to their folder.
    await chmod(dataDir, 0o711);
    const images = driver === 'qemu' ? join(defaultDataDir(process.env), 'images') : join(dataDir, 'no-images');
    await mkdir(images, { recursive: true });
    await symlink(images, join(dataDir, 'images'));
    const daemon = new Daemon(dataDir, driver, modelUrl);
    process.on('exit', () => daemon.kill());
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

  /** For the double: it kills itself before the n-th step from now on. */
  dieAt(steps: number): void {
    if (this.#child?.connected === true) this.#child.send({ dieAt: steps } satisfies DieAt, () => undefined);
  }

  /** Resolves when a daemon listens that will not kill itself. */
  async calm(): Promise<void> {
    this.#nextDiesAt = undefined;
    for (;;) {
      await this.up();
      const child = this.#child;
      if (this.driver !== 'double' || child === undefined) return;
      // Its death may not have been told yet.
      await sleep(5);
      const heard = await new Promise<boolean>((resolve) => {
        child.once('message', () => resolve(true));
        child.once('exit', () => resolve(false));
        if (child.connected) child.send({ dieAt: null } satisfies DieAt, () => undefined);
        else resolve(false);
      });
      if (heard && child === this.#child && this.#alive) return;
    }
  }

  /** For the double: the next one that is started kills itself before its n-th step. */
  nextDiesAt(steps: number): void {
    this.#nextDiesAt = steps;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true;
    const child = this.#child;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await exited;
    }
    await rm(this.dataDir, { recursive: true, force: true });
  }

  #begin(): void {
    const dieAt = this.#nextDiesAt;
    this.#nextDiesAt = undefined;
    const child = spawn(process.execPath, [programs[this.driver].pathname], {
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
        ...(dieAt === undefined ? {} : { CHAOS_DIE_AT: String(dieAt) }),
      },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Ctrl-C at a terminal is for the suite, which ends it when the round has ended.
      detached: true,
    });
    this.#child = child;
    this.#log = `${this.#log.slice(-100_000)}\n--- daemon ${child.pid}\n`;
    child.stdout?.on('data', (chunk: Buffer) => {
      for (const [, step = ''] of chunk.toString().matchAll(/^dies before: (.*)$/gm)) this.diedBefore.push(step);
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => (this.#log = (this.#log + chunk.toString()).slice(-400_000)));
    this.#ready = this.#listens(child);
    // Whoever needs it is told by `up`.
    this.#ready.catch(() => undefined);
    child.once('exit', (code, signal) => {
      if (this.#ending) return;
      if (signal === 'SIGKILL') this.#begin();
      else this.#ready = Promise.reject(new Violation(`the daemon ended by itself with ${code ?? signal}`));
      this.#ready.catch(() => undefined);
    });
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
