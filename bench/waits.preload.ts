import { appendFileSync } from 'node:fs';
import { subscribe } from 'node:diagnostics_channel';
import { isMainThread } from 'node:worker_threads';
import { Qmp } from '@citb/host/vmm/qemu/qmp.ts';

/**
 * Loaded into a host daemon before its own code (`--import`): writes down when it waits for QEMU and for guests, a line each, to the
 * file that CITB_BENCH_WAITS names: from, to (ns of the machine's monotonic clock), whom, for what. See `own-share.ts`.
 */
const path = process.env['CITB_BENCH_WAITS'];
/** Lines are written together, so that writing is no part of what is measured. */
const writeMs = 50;

if (path !== undefined && isMainThread) watch(path);

interface GuestRequest {
  readonly origin: string;
  readonly method: string;
  readonly path: string;
}

function watch(file: string): void {
  let written: string[] = [];
  setInterval(() => {
    if (written.length > 0) appendFileSync(file, written.join(''));
    written = [];
  }, writeMs).unref();
  const note = (whom: 'QEMU' | 'guest', what: string, from: bigint): void => void written.push(`${from} ${now()} ${whom} ${what}\n`);

  // QEMU starts: until its control socket greets, which it does when the machine is built.
  const connect = Qmp.connect.bind(Qmp);
  Qmp.connect = async (...args) => {
    const from = now();
    try {
      return await connect(...args);
    } finally {
      note('QEMU', 'start', from);
    }
  };

  // QEMU does what it is told. Between `migrate-incoming` and `cont` it reads the state of the devices.
  // oxlint-disable-next-line typescript/unbound-method -- called with its own `this` below
  const { execute } = Qmp.prototype;
  const loading = new WeakMap<Qmp, bigint>();
  Qmp.prototype.execute = async function (command, args) {
    const from = now();
    if (command === 'migrate-incoming') loading.set(this, from);
    try {
      return await execute.call(this, command, args);
    } finally {
      note('QEMU', command, command === 'cont' ? (loading.get(this) ?? from) : from);
    }
  };

  const asked = new WeakMap<object, bigint>();
  subscribe('undici:request:create', (message) => {
    const { request } = message as { request: GuestRequest };
    if (request.origin === 'http://guest') asked.set(request, now());
  });
  const answered = (message: unknown): void => {
    const { request } = message as { request: GuestRequest };
    const from = asked.get(request);
    asked.delete(request);
    if (from !== undefined) note('guest', `${request.method} ${request.path}`, from);
  };
  subscribe('undici:request:trailers', answered);
  subscribe('undici:request:error', answered);
}

function now(): bigint {
  return process.hrtime.bigint();
}
