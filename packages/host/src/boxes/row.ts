import type { Box, BoxState, TimeoutAction } from '@citb/api';
import type { VmRecord, VmSpec } from '../vmm/vmm.ts';

/** What the database knows of a box. Times are ms since 1970. */
export interface BoxRow {
  readonly id: string;
  readonly userId: string | null;
  readonly runtime: string;
  readonly agent: boolean;
  readonly imageKey: string;
  readonly state: BoxState;
  readonly reason: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly diskMib: number;
  readonly memoryMib: number;
  readonly cpus: number;
  readonly address: string | null;
  readonly runId: string | null;
  /** How the present machine was started; the record names its process (null until the VMM runs). */
  readonly spec: VmSpec | null;
  readonly record: VmRecord | null;
  readonly created: number;
  /** When `onTimeout` is done to it. */
  readonly expires: number | null;
  /** Written before the action, cleared when it is done: what the reconciler goes on with after a crash. */
  readonly intent: Intent | null;
  /** The machine in its folder `pause/` fits its disk. Taken back before the CPUs of a restored machine run, since these change the disk. */
  readonly saved: boolean;
  /** Paused or stopped because somebody said so: only a request wakes it, not a task that goes on by itself. */
  readonly asleep: boolean;
  /** Paused after so many seconds of rest; 0: never. */
  readonly idleS: number;
  readonly keepAliveUntil: number | null;
  readonly timeoutS: number | null;
  readonly onTimeout: TimeoutAction;
}

export type Intent = 'start' | 'kill' | 'pause' | 'stop';

/** The box as it begins. */
export type NewRow = Omit<BoxRow, 'state' | 'reason' | 'address' | 'runId' | 'spec' | 'record' | 'intent' | 'saved' | 'asleep'> & {
  readonly secrets: BoxSecrets;
};

/** Lie sealed in the row. */
export interface BoxSecrets {
  readonly accessToken: string;
  readonly envVars: Readonly<Record<string, string>>;
}

/** What can be changed at any time, since nothing of it touches the machine. */
export type RowSettings = Pick<BoxRow, 'labels' | 'idleS' | 'keepAliveUntil' | 'timeoutS' | 'onTimeout' | 'expires'>;

/** A row as SQLite gives it. */
export interface StoredRow {
  id: string;
  user_id: string | null;
  runtime: string;
  agent: number;
  image_key: string;
  state: BoxState;
  reason: string | null;
  labels: string;
  disk_mib: number;
  memory_mib: number;
  cpus: number;
  address: string | null;
  run_id: string | null;
  spec: string | null;
  record: string | null;
  created: number;
  expires: number | null;
  intent: Intent | null;
  saved: number;
  asleep: number;
  idle_s: number;
  keep_alive_until: number | null;
  timeout_s: number | null;
  on_timeout: TimeoutAction;
}

export function fromStored(row: StoredRow): BoxRow {
  return {
    id: row.id,
    userId: row.user_id,
    runtime: row.runtime,
    agent: row.agent === 1,
    imageKey: row.image_key,
    state: row.state,
    reason: row.reason,
    labels: JSON.parse(row.labels) as Record<string, string>,
    diskMib: row.disk_mib,
    memoryMib: row.memory_mib,
    cpus: row.cpus,
    address: row.address,
    runId: row.run_id,
    spec: row.spec === null ? null : (JSON.parse(row.spec) as VmSpec),
    record: row.record === null ? null : (JSON.parse(row.record) as VmRecord),
    created: row.created,
    expires: row.expires,
    intent: row.intent,
    saved: row.saved === 1,
    asleep: row.asleep === 1,
    idleS: row.idle_s,
    keepAliveUntil: row.keep_alive_until,
    timeoutS: row.timeout_s,
    onTimeout: row.on_timeout,
  };
}

/** The box as callers see it. */
export function boxOf(row: BoxRow): Box {
  const running = row.state === 'running';
  return {
    id: row.id,
    user_id: row.userId,
    runtime: row.runtime,
    state: row.state,
    reason: row.reason,
    labels: { ...row.labels },
    disk_mib: row.diskMib,
    memory_mib: row.memoryMib,
    cpus: row.cpus,
    vm_ip: row.address,
    pid: running ? (row.record?.pid ?? null) : null,
    run_id: running ? row.runId : null,
    created: new Date(row.created).toISOString(),
    expires: toDate(row.expires),
    on_timeout: row.onTimeout,
    idle_s: row.idleS,
    keep_alive_until: toDate(row.keepAliveUntil),
  };
}

function toDate(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
