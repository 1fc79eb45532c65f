import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, createReadStream, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { guestPorts } from '@citb/api';
import { createAddresses } from '@citb/host/network/addresses.ts';
import { readTemplate, type Template } from '@citb/host/templates/template.ts';
import { qemuArguments } from '@citb/host/vmm/qemu/command-line.ts';
import { vmFiles } from '@citb/host/vmm/qemu/files.ts';
import { snapshotFiles } from '@citb/host/vmm/qemu/snapshot.ts';
import { x86_64, type Accelerator } from '@citb/host/vmm/qemu/x86-64.ts';
import type { VmSpec } from '@citb/host/vmm/vmm.ts';

/** Far from those that host daemons of this machine take. */
const address = '127.127.127.1';
/** Only against what hangs, ms. */
const deadlineMs = 60_000;

/** The template of a runtime in a daemon's data directory. */
export function templateIn(dataDir: string, runtime: string): Template {
  const folder = join(dataDir, 'templates');
  const found = readdirSync(folder)
    .map((name) => readTemplate(join(folder, name)))
    .find((template) => template?.shape.runtime === runtime);
  if (found === undefined) throw new Error(`there is no template of ${runtime}`);
  return found;
}

/**
 * QEMU restoring a template with nothing around it: no daemon, no database, no user of its own, no console, no hand-over. The disk is
 * copied and the memory linked before the time begins.
 * @param library the one that is loaded into QEMU; without it the guest would write into the template
 * @returns ms from starting QEMU to the first byte of what the guest's daemon answers to `GET /health`
 */
export async function restoreRaw(template: Template, accelerator: Accelerator, library: string): Promise<number> {
  accessSync(library);
  const folder = mkdtempSync(join(tmpdir(), 'citb-raw-'));
  const disk = join(folder, 'disk.img');
  const files = vmFiles(folder);
  const saved = snapshotFiles(template.machine.snapshot.folder);
  try {
    mkdirSync(files.own);
    linkSync(saved.base, files.memory);
    execFileSync('cp', ['--reflink=auto', '--sparse=always', template.disk, disk]);
    const free = await createAddresses(folder).take(address, new Set());
    const args = qemuArguments(specOf(template.machine.spec, folder, disk, free), accelerator, true);
    const started = performance.now();
    const qemu = spawn(x86_64.binary, args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8', LD_PRELOAD: library, CITB_MEMORY: files.memory },
    });
    try {
      await bringUp(qemu, files, saved.state);
      await firstByte(qemu, free);
      return performance.now() - started;
    } finally {
      await end(qemu);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function specOf(template: VmSpec, folder: string, disk: string, free: string): VmSpec {
  return {
    ...template,
    runId: 'run_bench',
    folder,
    drives: template.drives.map((drive) => (drive.readOnly ? drive : { ...drive, path: disk })),
    network: { ...template.network, address: free },
    brokerSocket: join(folder, 'broker.sock'),
  };
}

async function bringUp(qemu: ChildProcess, files: ReturnType<typeof vmFiles>, state: string): Promise<void> {
  using control = new Control(await dial(qemu, () => connect(files.qmp)));
  await control.ask('qmp_capabilities');
  await control.ask('migrate-set-capabilities', { capabilities: [{ capability: 'x-ignore-shared', state: true }] });
  await control.ask('migrate-incoming', { uri: `unix:${files.migration}` });
  // QEMU knows where the state ends and may hang up first.
  await pipeline(createReadStream(state), connect(files.migration)).catch(() => undefined);
  while (((await control.ask('query-status')) as { status: string }).status === 'inmigrate') await delay(1);
  await control.ask('cont');
}

/** QEMU's control socket: a JSON object a line, one question at a time. */
class Control implements Disposable {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  }

  async ask(execute: string, args: object = {}): Promise<unknown> {
    this.#socket.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error(`QEMU ended when it was told ${execute}`);
      const said = JSON.parse(value) as { return?: unknown; error?: { desc: string } };
      if (said.error !== undefined) throw new Error(`QEMU refused ${execute}: ${said.error.desc}`);
      if (said.return !== undefined) return said.return;
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** Connects as soon as somebody listens. */
async function dial(qemu: ChildProcess, open: () => Socket): Promise<Socket> {
  for (const until = performance.now() + deadlineMs; performance.now() < until;) {
    mustLive(qemu);
    const socket = open();
    try {
      await once(socket, 'connect');
      return socket;
    } catch {
      await delay(1);
    }
  }
  throw new Error(`QEMU could not be spoken with within ${deadlineMs} ms`);
}

async function firstByte(qemu: ChildProcess, host: string): Promise<void> {
  for (const until = performance.now() + deadlineMs; performance.now() < until;) {
    mustLive(qemu);
    const socket = connect(guestPorts.envd, host);
    socket.on('error', () => undefined);
    socket.write('GET /health HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n');
    const [answer] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [Buffer | boolean];
    socket.destroy();
    if (Buffer.isBuffer(answer) && answer.toString().startsWith('HTTP/1.1 2')) return;
    await delay(1);
  }
  throw new Error(`the guest did not answer within ${deadlineMs} ms`);
}

function mustLive(qemu: ChildProcess): void {
  if (isOver(qemu)) throw new Error(`QEMU ended (${qemu.signalCode ?? qemu.exitCode})`);
}

function isOver({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

async function end(qemu: ChildProcess): Promise<void> {
  if (isOver(qemu)) return;
  const exited = once(qemu, 'exit');
  qemu.kill('SIGKILL');
  await exited;
}
