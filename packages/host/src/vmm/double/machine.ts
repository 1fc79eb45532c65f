import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import type { DoubleGuest, Serve } from './guest.ts';
import { doubleFiles, machineFile } from './files.ts';

/**
 * The process that stands for a VM: `node machine.ts RUN_ID FOLDER`. Like a VMM it forwards ports, drops console output that
 * nobody reads, outlives who started it, and goes with its memory when it is killed.
 */
process.on('uncaughtException', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});

const folder = process.argv[3] ?? '';
const files = doubleFiles(folder);
const { spec, program, memory } = machineFile.parse(JSON.parse(readFileSync(files.machine, 'utf8')));

const readers = new Set<Socket>();
const accepting = new Map<number, (socket: Socket) => void>();
let powerButton = () => guest.powerOff();

const guest: DoubleGuest = {
  folder,
  ports: spec.network.ports,
  brokerSocket: spec.brokerSocket,
  memory,
  listen: (port, accept) => void accepting.set(port, accept),
  print: (text) => {
    // A reader that does not keep up loses output; the machine never waits.
    for (const reader of readers) if (!reader.writableNeedDrain) reader.write(text);
  },
  onPowerButton: (react) => {
    powerButton = react;
  },
  powerOff: () => process.exit(0),
};

process.on('SIGTERM', () => powerButton());
// Pausing: what is in memory goes to a file and the process stands still before anything else can happen in it.
process.on('SIGUSR2', () => {
  writeFileSync(files.memory, JSON.stringify(memory));
  process.kill(process.pid, 'SIGSTOP');
});

const up = Promise.withResolvers<void>();

/** As with QEMU it stays silent until the machine is up; to its caller a machine that was saved is up from its first moment on. */
async function connect(port: number, socket: Socket): Promise<void> {
  socket.on('error', () => socket.destroy());
  await up.promise;
  const accept = accepting.get(port);
  if (accept === undefined) socket.resetAndDestroy();
  else accept(socket);
}

for (const port of spec.network.ports) {
  const server = createServer((socket) => void connect(port, socket));
  server.listen(port, spec.network.address);
  await once(server, 'listening');
}

rmSync(files.serial, { force: true });
const started = Promise.withResolvers<void>();
const serial = createServer((socket) => {
  readers.add(socket);
  socket.on('error', () => socket.destroy()).on('close', () => readers.delete(socket));
  started.resolve();
});
serial.listen(files.serial);
await once(serial, 'listening');

// As QEMU with -S: the machine begins when its console is read.
await started.promise;
const { serve } = (await import(program)) as { serve: Serve };
await serve(guest);
up.resolve();
