import { copyFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createLog } from '@citb/daemon';
import type { BootImage } from '@citb/images';
import { createGuestClients } from '../guest/clients.ts';
import { BoxLogs } from '../hostinfo/box-logs.ts';
import { Idempotency } from '../idempotency.ts';
import { SealedModelKeys } from '../keys/model-keys.ts';
import { Seal } from '../keys/sealed.ts';
import { Store } from '../store.ts';
import { createDouble } from '../vmm/double/double.ts';
import { Admission } from './admission.ts';
import { BootSlots } from './boot-slots.ts';
import { createBoxes } from './boxes.ts';
import { cpuTime } from './cpu-time.ts';
import { boxesFolder } from './names.ts';
import { BoxRows } from './rows.ts';
import { AddressBook } from './address-book.ts';
import { noTemplates } from '../templates/templates.ts';

/**
 * A host daemon of nothing but boxes, as a process that a test can kill: `node killed-daemon.double.ts DATA_DIR NET work|sleep|check|wake|end`.
 * `work` makes and kills boxes for ever, `sleep` pauses and wakes one, and both print a line after each act (`work` also before);
 * `check` prints what it finds once things are put right, `wake` also wakes all boxes; `end` kills them.
 */
const [dataDir = '', net = '', mode = ''] = process.argv.slice(2);
const now = Date.now;
const store = new Store(join(dataDir, 'host.db'));
const seal = new Seal('ab'.repeat(32));
const rows = new BoxRows(store, seal, now);
const vmm = createDouble({ program: new URL('guest.double.ts', import.meta.url).href });
const image: BootImage = {
  runtime: 'bash',
  key: 'key',
  kernel: '/dev/null',
  initrd: '/dev/null',
  cmdline: '',
  root: '/dev/null',
  tools: '/dev/null',
  preload: '/dev/null',
  manifest: { runtime: 'bash', description: '', agent: false, memoryMib: 256, cpus: 1 },
};
const clients = createGuestClients();
const daemon = createBoxes({
  rows,
  vmm,
  images: { runtimes: async () => ['bash'], get: async () => image, peek: async () => image, prune: async () => [] },
  disks: { create: async (path) => writeFileSync(path, '', { flag: 'a' }), copy: async (from, path) => copyFileSync(from, path) },
  addresses: new AddressBook({
    take: async (preferred, taken) =>
      preferred ?? Array.from({ length: 200 }, (_, n) => `${net}.${n + 1}`).find((address) => !taken.has(address)) ?? 'none',
  }),
  templates: noTemplates,
  broker: { open: async () => {}, connections: async () => 0, close: async () => 0 },
  guest: clients,
  admission: new Admission({ memoryMib: 1_000_000, maxBoxes: 100, diskReserveMib: 0 }, dataDir),
  bootSlots: new BootSlots(2),
  idempotency: new Idempotency(store, seal, now),
  modelKeys: new SealedModelKeys(store, seal, undefined),
  logs: new BoxLogs(store, now),
  log: createLog('double', 'silent'),
  settings: { dataDir, diskMib: 64, idleS: 0, model: 'claude-test', startDeadlineMs: 120_000 },
  cpuTime,
  now,
});
const { boxes } = daemon;

function print(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function make(userId: string): Promise<void> {
  const { box } = await boxes.create({ userId, runtime: 'bash', envVars: {} });
  print({ made: box.id, pid: box.pid });
}

async function kill(id: string): Promise<void> {
  print({ killing: id });
  await boxes.kill(id);
  print({ killed: id });
}

/** Two users' boxes come and go at the same time. */
async function work(userId: string): Promise<never> {
  for (;;) {
    await make(userId);
    await kill((await boxes.byUser(userId)).id);
    await make(userId);
    await make(`${userId} ${rows.count()}`);
  }
}

/** One user's box is paused and woken, and asked what it has in its memory. */
async function sleep(userId: string): Promise<never> {
  const { box } = await boxes.create({ userId, runtime: 'bash', envVars: {} });
  for (;;) {
    print({ awake: box.id, word: await wordOf(box.id) });
    await boxes.pause(box.id);
    print({ paused: box.id });
    await boxes.resume(box.id);
  }
}

async function wordOf(id: string): Promise<string> {
  const { body } = await clients.envd(await daemon.access.awake(id)).open({ method: 'GET', path: '/word' });
  return await text(body);
}

await daemon.reconcile();
if (mode === 'work') await Promise.all([work('ada'), work('bob')]);
if (mode === 'sleep') await sleep('eve');
const words = mode === 'wake' ? await Promise.all(rows.all().map(async ({ id }) => [id, await wordOf(id)] as const)) : [];
if (mode === 'end') for (const row of rows.all()) await boxes.kill(row.id);
print({
  boxes: rows
    .all()
    .map((row) => ({ id: row.id, state: row.state, pid: row.record?.pid ?? null, awake: daemon.access.ifRunning(row.id) !== undefined })),
  words: Object.fromEntries(words),
  pids: (await vmm.list(dataDir)).map((record) => record.pid),
  folders: readdirSync(boxesFolder(dataDir)),
});
process.exit(0);
