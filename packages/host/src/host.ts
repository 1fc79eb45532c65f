import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MaintenanceReport } from '@citb/api';
import type { Logger } from '@citb/daemon';
import { Admission, defaultMaxBoxes, defaultReserve, memoryLimit, type Overhead, smallOverhead } from './boxes/admission.ts';
import { AddressBook } from './boxes/address-book.ts';
import { BootSlots } from './boxes/boot-slots.ts';
import { createBoxes } from './boxes/boxes.ts';
import { wantedTime } from './boxes/cpu-time.ts';
import { BoxRows } from './boxes/rows.ts';
import { createBroker } from './broker/broker.ts';
import { createLedger } from './broker/ledger.ts';
import { createCheckpoints, type CheckpointsModule } from './checkpoints/checkpoints.ts';
import type { CheckpointParts } from './checkpoints/parts.ts';
import { CheckpointRows } from './checkpoints/rows.ts';
import { ConfigError, type HostConfig } from './config.ts';
import type { DataFolder } from './data-folder.ts';
import { createFiles } from './files/files.ts';
import { createGuestClients } from './guest/clients.ts';
import { standingGuest } from './guest/standing.ts';
import { BoxLogs } from './hostinfo/box-logs.ts';
import { createHostInfo, type Phase } from './hostinfo/host-info.ts';
import { Idempotency } from './idempotency.ts';
import { findBootImage, mainRuntime, pruneImages, warmUp } from './images.ts';
import { loadApiKey } from './keys/api-key.ts';
import { readOrMakeKeyFile } from './keys/key-file.ts';
import { SealedModelKeys } from './keys/model-keys.ts';
import { Seal } from './keys/sealed.ts';
import { noTemplates, Templates } from './templates/templates.ts';
import { rehearsal } from './templates/rehearse.ts';
import { openStore } from './open-store.ts';
import { thisMachine } from './outside.ts';
import { createProcesses } from './processes/processes.ts';
import { createServer } from './server.ts';
import { makeRoom } from './space/room.ts';
import { boxUsage } from './space/usage.ts';
import { withRoom } from './space/with-room.ts';
import { createTasks } from './tasks/tasks.ts';
import { createTransfer } from './transfer/transfer.ts';
import { uidOfAddress } from './vmm/qemu/isolation.ts';
import { translationCacheMib } from './vmm/qemu/translation-cache.ts';
import type { VmmReport } from './vmm/vmm.ts';

/** A host daemon that listens. */
export interface Host {
  readonly url: string;
  /** For a person: where it listens, where the key is, what machines run on and why. */
  readonly greeting: string;
  /** Ends streams so that they can be resumed, takes back half-made boxes, closes the database. Boxes go on running, or are saved to disk first. */
  stop(): Promise<void>;
}

/** Between two runs of maintenance, ms. */
const maintenanceMs = 60_000;
/** How long open requests may take to end when the daemon stops, ms. */
const stopGraceMs = 10_000;
/** Machines that boot at once under emulation, where each takes a core. */
const emulatedBoots = 2;

/**
 * Puts all parts together, finds the boxes of an earlier daemon again, and listens.
 * @param tell lines for the person who started it
 * @param outside what it stands on
 * @throws StoreUnusable, ImageError, and what listening throws
 */
export async function startHost(
  config: HostConfig,
  folder: DataFolder,
  log: Logger,
  tell: (line: string) => void,
  outside = thisMachine,
): Promise<Host> {
  const now = Date.now;
  const dataDir = folder.path;
  const store = openStore(dataDir);
  const seal = new Seal(readOrMakeKeyFile(join(dataDir, 'seal-key'), 32));
  const apiKey = loadApiKey(config.apiKey, dataDir);
  const images = outside.images({ dataDir, repoRoot: fileURLToPath(new URL('../../../', import.meta.url)), log: tell });

  const rows = new BoxRows(store, seal, now);
  const bootFiles = await findBootImage(images, rows);
  const vmm = outside.vmm({ dataDir, bootImageForProbe: bootFiles, preload: bootFiles.preload, log });
  const report = await vmm.probe();
  const overhead: Overhead = (memoryMib) =>
    smallOverhead(memoryMib) + translationCacheMib(memoryMib, report.accelerator === 'kvm' ? 'kvm' : 'tcg');
  const admission = new Admission(limitsOf(config), dataDir, overhead);
  const modelKeys = new SealedModelKeys(store, seal, config.modelKey);
  const ledger = createLedger(store);
  const broker = createBroker({
    baseUrl: config.anthropicBaseUrl,
    keys: modelKeys,
    ledger,
    own: { checkpoint: (boxId, name) => checkpoints.byAgent(boxId, name) },
    log,
    ownerOf: (id) => (report.isolation.uid ? uidOfAddress(rows.get(id)?.address ?? '') : undefined),
  });
  const clients = createGuestClients();
  const logs = new BoxLogs(store, now);
  const idempotency = new Idempotency(store, seal, now);
  const disks = outside.disks();
  const addresses = new AddressBook(outside.addresses(dataDir));
  const settings = {
    dataDir,
    diskMib: config.diskMib,
    idleS: config.idleS,
    model: config.model,
    startDeadlineMs: config.startDeadlineMs ?? startDeadline(report),
  };
  const templates = config.templates
    ? new Templates({ vmm, images, report, disks, rows, addresses, admission, guest: clients, settings, log, rehearse: rehearsal(clients) })
    : noTemplates;
  const boxes = createBoxes({
    rows,
    vmm,
    images,
    disks,
    addresses,
    templates,
    broker,
    guest: clients,
    admission,
    bootSlots: new BootSlots(report.accelerator === 'kvm' ? availableParallelism() : emulatedBoots),
    idempotency,
    modelKeys,
    logs,
    log,
    settings,
    cpuTime: wantedTime,
    now,
  });
  const { access } = boxes;
  access.onKilled((id) => ledger.forget(id));
  const checkpointParts: CheckpointParts = {
    boxes: boxes.parts,
    access,
    rows: new CheckpointRows(store, now),
    guest: standingGuest(clients),
    tasks: { rolledBack: (boxId) => tasks.rolledBack(boxId) },
    settings: { automatic: config.autoCheckpoints, automaticBytes: config.autoCheckpointMib * 1024 * 1024 },
  };
  const checkpoints: CheckpointsModule = createCheckpoints(checkpointParts);
  const transfer = createTransfer(checkpointParts);
  const tasks = createTasks({
    store,
    access,
    clients,
    keys: modelKeys,
    idempotency,
    beforeTask: (box, taskId) => checkpoints.beforeTask(box, taskId),
  });
  const roomFirst = (): Promise<void> => makeRoom(admission, checkpoints, log);
  const maintain = async (): Promise<MaintenanceReport> => {
    const done = await boxes.reconcile();
    await checkpoints.reconcile();
    await transfer.prune();
    await roomFirst();
    return done;
  };

  let phase: Phase = report.usable
    ? { status: 'starting', reason: 'Images are being built.' }
    : { status: 'failed', reason: report.reason };
  const host = createHostInfo({
    version,
    model: { base_url: withoutSecrets(config.anthropicBaseUrl), default_key: config.modelKey !== undefined, default_model: config.model },
    vmm,
    report,
    rows,
    live: boxes.live,
    admission,
    templates: () => templates.list(),
    usage: (row) => boxUsage(checkpointParts, row),
    taskCounts: (id) => tasks.counts(id),
    reconcile: maintain,
    drain: async (deadlineMs) => {
      phase = { status: 'stopping' };
      return await boxes.drain(AbortSignal.timeout(deadlineMs));
    },
    phase: () => phase,
    now,
  });
  const server = createServer({
    services: {
      ...withRoom({ boxes: boxes.boxes, checkpoints: checkpoints.checkpoints, transfer: transfer.transfer }, roomFirst),
      tasks,
      files: createFiles({ access, clients }),
      processes: createProcesses({ access, clients }),
      host,
    },
    apiKeyCheck: (candidate) => apiKey.check(candidate),
    log,
    options: { version, autoCreate: config.autoCreate, corsOrigins: config.corsOrigins },
  });

  await transfer.recover();
  await maintain();
  tasks.resume();
  await listen(server.http, config);
  const url = urlOf(server.http.address() as AddressInfo);
  folder.announce(url);

  const stopping = new AbortController();
  const prepareImages = async (): Promise<void> => {
    await warmUp(images, { log, tell, signal: stopping.signal }, (reached) => {
      if (phase.status !== 'stopping') phase = reached;
    });
    if (stopping.signal.aborted) return;
    const { runtime, manifest } = await images.get(mainRuntime);
    templates.want({ runtime, cpus: manifest.cpus, memoryMib: manifest.memoryMib, diskMib: config.diskMib });
    const pruned = await pruneImages(images, rows, dataDir, checkpoints.imageFiles());
    if (pruned.length > 0) log.info({ pruned }, 'removed images of earlier versions');
  };
  if (report.usable) prepareImages().catch((error: unknown) => log.warn({ err: error }, 'old images could not be removed'));
  const maintenance = setInterval(() => {
    maintain().catch((error: unknown) => log.error({ err: error }, 'maintenance failed; it is tried again'));
  }, maintenanceMs);

  return {
    url,
    greeting: greeting(url, apiKey.origin, report),
    stop: async () => {
      phase = { status: 'stopping' };
      stopping.abort();
      clearInterval(maintenance);
      const closed = server.stop(stopGraceMs);
      if (config.onSigterm === 'pause') {
        const { paused, left } = await boxes.drain(AbortSignal.timeout(config.drainMs));
        log.info({ paused, left }, 'boxes were saved to disk');
      }
      transfer.close();
      await boxes.close();
      await templates.close();
      await tasks.close();
      await closed;
      await clients.close();
      await broker.closeAll();
      store.close();
      folder.release();
    },
  };
}

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

/**
 * How long a machine may take to come up, ms. Under emulation a boot takes 5 s on idle cores and was seen to take 80 s with six
 * times as much work as cores. A machine that ends is noticed at once in any case.
 */
function startDeadline({ accelerator }: VmmReport): number {
  return accelerator === 'kvm' ? 60_000 : 240_000;
}

/** @throws ConfigError when the address cannot be had */
async function listen(server: Server, { host, port }: HostConfig): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    const why = addressErrors[(error as NodeJS.ErrnoException).code ?? ''] ?? (error as Error).message;
    throw new ConfigError(`The host cannot listen on ${host} port ${port}: ${why}`);
  }
}

const addressErrors: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program does. Stop it, or choose another port with CITB_PORT.',
  EADDRNOTAVAIL: 'this machine does not have the address. Choose another with CITB_HOST.',
  EACCES: 'ports below 1024 are for root. Choose another with CITB_PORT.',
};

function limitsOf(config: HostConfig): Admission['limits'] {
  const totalMib = Math.floor(totalmem() / 1024 / 1024);
  const memoryMib = memoryLimit(totalMib, config.memoryReserveMib ?? defaultReserve(totalMib), config.memoryOversubscription);
  return { memoryMib, maxBoxes: config.maxBoxes ?? defaultMaxBoxes, diskReserveMib: config.diskReserveMib };
}

/** An address that a client on this machine can use, also when the daemon listens on all of them. */
function urlOf({ address, family, port }: AddressInfo): string {
  if (address === '0.0.0.0' || address === '::') return `http://127.0.0.1:${port}`;
  return family === 'IPv6' ? `http://[${address}]:${port}` : `http://${address}:${port}`;
}

function withoutSecrets(text: string): string {
  const url = new URL(text);
  url.username = '';
  url.password = '';
  url.search = '';
  return url.href.replace(/\/$/, '');
}

function greeting(url: string, keyOrigin: string, report: VmmReport): string {
  return `claude-in-the-box ${version} on ${url}, API key: ${keyOrigin}, machines: QEMU ${report.version} with ${report.accelerator} (${report.reason})`;
}
