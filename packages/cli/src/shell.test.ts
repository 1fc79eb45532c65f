import assert from 'node:assert/strict';
import { spawn as spawnChild } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ApiError } from '@citb/api';
import type { Terminal } from '@citb/host/services.ts';
import { type ServicesDouble, type StartedServer, createServicesDouble, startServer } from '@citb/testkit/services/index.ts';
import { type IDisposable, type IPty, spawn } from '@lydell/node-pty';

/** `citb shell` at a real terminal, joined with a real terminal on the other side. */
const program = fileURLToPath(new URL('../bin/citb.mjs', import.meta.url));
const apiKey = 'key-of-the-shell-tests';
const patienceMs = 60_000;
let services: ServicesDouble;
let server: StartedServer;
let home: string;
/** Set: the box sleeps as soon as a shell is open. */
let pausing: AbortController | undefined;
const shells = new Map<number, IPty>();

before(async () => {
  services = await createServicesDouble();
  services.processes.terminal = async (_boxId, { cols, rows, pid }) => openShell(pid ?? 0, cols, rows);
  server = await startServer(services, { apiKey });
  home = await mkdtemp(join(tmpdir(), 'citb-shell-'));
  await services.boxes.create({ id: 'box', runtime: 'bash', envVars: {} });
});

after(async () => {
  for (const shell of shells.values()) shell.kill('SIGKILL');
  await server[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});

function openShell(pid: number, cols: number, rows: number): Terminal {
  const shell =
    shells.get(pid) ??
    spawn('/bin/bash', ['--norc', '--noprofile'], { cols, rows, cwd: home, env: { PS1: 'inside> ', TERM: 'xterm', HOME: home } });
  shells.set(shell.pid, shell);
  shell.resize(cols, rows);
  const exit = Promise.withResolvers<number>();
  shell.onExit(({ exitCode }) => exit.resolve(exitCode));
  let listening: IDisposable;
  const output = new ReadableStream<Uint8Array>({
    start(controller) {
      listening = shell.onData((printed) => controller.enqueue(Buffer.from(printed)));
      void exit.promise.then(() => controller.close()).catch(() => undefined);
    },
    cancel: () => listening.dispose(),
  });
  const asleep = pausing?.signal;
  return {
    pid: shell.pid,
    output: asleep === undefined ? output : untilAsleep(output, asleep),
    exitCode: exit.promise,
    write: async (data) => shell.write(Buffer.from(data).toString()),
    resize: async (newCols, newRows) => shell.resize(newCols, newRows),
  };
}

async function* untilAsleep(output: ReadableStream<Uint8Array>, asleep: AbortSignal): AsyncGenerator<Uint8Array> {
  const paused = once(asleep, 'abort').then(() => Promise.reject(new ApiError('box_paused')));
  const reader = output.getReader();
  for (;;) {
    const { value, done } = await Promise.race([reader.read(), paused]);
    if (done) return;
    yield value;
  }
}

/** Our side: a user's bash in a terminal, in which citb runs. */
class Screen implements Disposable {
  text = '';
  readonly #pty: IPty;
  #changed = Promise.withResolvers<void>();

  constructor() {
    const env = {
      PATH: process.env['PATH'] ?? '',
      HOME: home,
      PS1: 'outside> ',
      TERM: 'xterm',
      CITB_URL: server.url,
      CITB_API_KEY: apiKey,
    };
    this.#pty = spawn('/bin/bash', ['--norc', '--noprofile'], { cols: 90, rows: 24, env });
    this.#pty.onData((data) => {
      this.text += data;
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    });
  }

  type(keys: string): void {
    this.#pty.write(keys);
  }

  resize(cols: number, rows: number): void {
    this.#pty.resize(cols, rows);
  }

  /** Waits until the screen shows it; takes what was shown up to there away. */
  async shows(wanted: string): Promise<string> {
    const end = AbortSignal.timeout(patienceMs);
    const late = once(end, 'abort');
    while (!this.text.includes(wanted)) {
      await Promise.race([this.#changed.promise, late]);
      assert.ok(!end.aborted, `waited for ${JSON.stringify(wanted)}, the screen shows ${JSON.stringify(this.text)}`);
    }
    const at = this.text.indexOf(wanted) + wanted.length;
    const shown = this.text.slice(0, at);
    this.text = this.text.slice(at);
    return shown;
  }

  [Symbol.dispose](): void {
    // A hang-up that meets bash between two prompts is only noticed at the next key.
    this.#pty.kill('SIGKILL');
  }
}

async function open(screen: Screen, more = ''): Promise<void> {
  await screen.shows('outside> ');
  screen.type(`${process.execPath} ${program} shell ${more} box; echo "code=$?"\r`);
  await screen.shows('$?"');
}

test('keys, size and exit code pass through, and the terminal is as before', async () => {
  using screen = new Screen();
  await open(screen);
  await screen.shows('inside> ');
  screen.type('stty size\r');
  await screen.shows('24 90');
  screen.resize(70, 20);
  // The new size travels beside the keys: ask until it is there.
  screen.type('until stty size | grep -x "20 70"; do sleep 0.05; done\r');
  await screen.shows('\r20 70');
  await screen.shows('inside> ');
  // Ctrl-C is for the program inside.
  screen.type('sleep 1000\r');
  await screen.shows('sleep 1000');
  // What is shown is the typed line; the program that Ctrl-C is for may not have begun.
  const pressing = setInterval(() => screen.type('\u0003'), 200);
  await screen.shows('inside> ').finally(() => clearInterval(pressing));
  screen.type('exit 3\r');
  await screen.shows('code=3');
  screen.type('stty -a\r');
  assert.match(await screen.shows('-extproc'), / icanon .* echo /s);
});

test('~. leaves, the shell goes on, and --join comes back to it', async () => {
  using screen = new Screen();
  await open(screen);
  await screen.shows('inside> ');
  screen.type('kept=yes\r');
  await screen.shows('inside> ');
  screen.type('~.');
  const pid = /--join (\d+)\]/.exec(await screen.shows('code=0'))?.[1] ?? '';
  await open(screen, `--join ${pid}`);
  screen.type('echo "kept: $kept"; exit\r');
  await screen.shows('kept: yes');
  await screen.shows('code=0');
});

test('a host that goes away for ever puts the terminal back and says so', async () => {
  await using other = await startServer(services, { apiKey });
  using screen = new Screen();
  await screen.shows('outside> ');
  screen.type(`${process.execPath} ${program} --url ${other.url} shell --reconnect 1 box; echo "code=$?"\r`);
  await screen.shows('inside> ');
  await other[Symbol.asyncDispose]();
  await screen.shows('the connection broke');
  await screen.shows('code=4');
  screen.type('stty -a\r');
  assert.match(await screen.shows('-extproc'), / icanon .* echo /s);
});

test('a box that is paused is left asleep, with a sentence; --keep-awake comes back to it', async () => {
  using screen = new Screen();
  pausing = new AbortController();
  await open(screen);
  await screen.shows('inside> ');
  screen.type('kept=yes\r');
  await screen.shows('inside> ');
  pausing.abort();
  const said = await screen.shows('code=1');
  assert.match(said, /The box was paused; the shell goes on when it wakes/);
  assert.doesNotMatch(said, /connection broke/);
  const pid = /--join (\d+)/.exec(said)?.[1] ?? '';
  pausing = new AbortController();
  await open(screen, `--keep-awake --join ${pid}`);
  screen.type('echo "kept: $kept"\r');
  await screen.shows('kept: yes');
  const asleep = pausing;
  pausing = undefined;
  asleep.abort();
  await screen.shows('[back]');
  screen.type('exit 6\r');
  await screen.shows('code=6');
});

test('without a terminal it says what to use instead', async () => {
  const { code, err } = await runWithoutTerminal();
  assert.equal(code, 2);
  assert.match(err, /citb exec/);
});

async function runWithoutTerminal(): Promise<{ code: number | null; err: string }> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, CITB_URL: server.url, CITB_API_KEY: apiKey };
  const child = spawnChild(process.execPath, [program, 'shell', 'box'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const [err, [code]] = await Promise.all([text(child.stderr), once(child, 'exit') as Promise<[number | null]>]);
  return { code, err };
}
