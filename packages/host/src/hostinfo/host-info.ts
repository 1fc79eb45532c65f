import { availableParallelism, hostname, totalmem } from 'node:os';
import type { BoxUsage, DrainReport, HostHealth, HostStatus, MaintenanceReport } from '@citb/api';
import type { Admission } from '../boxes/admission.ts';
import type { LiveBoxes } from '../boxes/live.ts';
import type { TaskCounts } from '../boxes/ports.ts';
import { type BoxRow, type BoxRows, boxOf } from '../boxes/rows.ts';
import type { HostInfo } from '../services.ts';
import type { TemplateSource } from '../templates/templates.ts';
import type { Vmm, VmmReport } from '../vmm/vmm.ts';

/** Where the daemon is in its life, as `/health` tells it. */
export type Phase =
  | { readonly status: 'starting'; readonly reason: string }
  | { readonly status: 'ok' }
  | { readonly status: 'failed'; readonly reason: string }
  | { readonly status: 'stopping' };

export interface HostInfoParts {
  readonly version: string;
  readonly model: HostStatus['host']['model'];
  readonly vmm: Vmm;
  readonly report: VmmReport;
  readonly rows: BoxRows;
  readonly live: LiveBoxes;
  readonly admission: Admission;
  readonly templates: TemplateSource['list'];
  /** What a box takes on the disk. */
  readonly usage: (row: BoxRow) => Promise<BoxUsage>;
  readonly taskCounts: TaskCounts;
  readonly reconcile: () => Promise<MaintenanceReport>;
  readonly drain: (deadlineMs: number) => Promise<DrainReport>;
  /** Asked at each call. */
  readonly phase: () => Phase;
  /** ms since 1970. */
  readonly now: () => number;
}

const mib = 1024 * 1024;

/** What the host tells about itself. */
export function createHostInfo(parts: HostInfoParts): HostInfo {
  const started = parts.now();
  return {
    health: () => health(parts),
    status: async () => ({
      host: hostPart(parts, started),
      capacity: capacity(parts),
      templates: parts.templates().map(({ shape, state }) => ({
        runtime: shape.runtime,
        cpus: shape.cpus,
        memory_mib: shape.memoryMib,
        disk_mib: shape.diskMib,
        state,
      })),
      boxes: await Promise.all(parts.rows.all().map(async (row) => boxPart(parts, row))),
    }),
    maintain: parts.reconcile,
    drain: parts.drain,
  };
}

function health({ version, vmm, report, phase }: HostInfoParts): HostHealth {
  const now = phase();
  return {
    status: now.status,
    version,
    vmm: vmm.name,
    accelerator: report.accelerator,
    reason: 'reason' in now ? now.reason : report.reason,
  };
}

function hostPart({ version, vmm, report, model, now }: HostInfoParts, started: number): HostStatus['host'] {
  return {
    version,
    hostname: hostname(),
    started: new Date(started).toISOString(),
    uptime_s: Math.round((now() - started) / 1000),
    vmm: vmm.name,
    vmm_version: report.version,
    accelerator: report.accelerator,
    accelerator_reason: report.reason,
    isolation: report.isolation,
    model,
  };
}

function capacity({ rows, admission }: HostInfoParts): HostStatus['capacity'] {
  return {
    cpus: availableParallelism(),
    memory_mib: Math.floor(totalmem() / mib),
    memory_committed_mib: admission.committedMib,
    memory_limit_mib: admission.limits.memoryMib,
    disk_free_mib: admission.diskFreeMib,
    boxes: rows.count(),
    max_boxes: admission.limits.maxBoxes,
  };
}

async function boxPart({ usage, live, admission, taskCounts, now }: HostInfoParts, row: BoxRow): Promise<HostStatus['boxes'][number]> {
  const box = boxOf(row);
  const [taken, memory] = await Promise.all([
    usage(row),
    // It may end at this moment.
    live
      .get(row.id)
      ?.vm.memoryUsed()
      .catch(() => null) ?? null,
  ]);
  return {
    id: row.id,
    user_id: row.userId,
    runtime: row.runtime,
    state: row.state,
    pid: box.pid,
    vm_ip: box.vm_ip,
    age_s: Math.round((now() - row.created) / 1000),
    disk_used_mib: tenths(taken.total_bytes),
    saved_mib: tenths(taken.saved_bytes),
    checkpoints_mib: tenths(taken.checkpoint_bytes),
    disk_mib: row.diskMib,
    memory_used_mib: memory === null ? null : Math.round(memory / mib),
    memory_held_mib: admission.heldMib(row.id),
    memory_mib: row.memoryMib,
    tasks: taskCounts(row.id),
  };
}

/** MiB with one decimal place. */
function tenths(bytes: number): number {
  return Math.round((bytes / mib) * 10) / 10;
}
