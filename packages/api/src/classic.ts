import { z } from 'zod';
import { userId } from './ids.ts';
import { context, fileContent } from './messages.ts';
import { limits } from './limits.ts';

/** The classic API: names and forms as the original claude-in-the-box README has them. */

const envVars = z
  .record(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of an environment variable'),
    z
      .string()
      .refine(
        (value) => Buffer.byteLength(value) <= limits.envValueBytes && !value.includes('\0'),
        `must be at most ${limits.envValueBytes} bytes without NUL`,
      ),
  )
  .refine((all) => Object.keys(all).length <= limits.envVars, `at most ${limits.envVars} variables`)
  .meta({
    description: "Environment of the box. ANTHROPIC_API_KEY is taken out: it stays on the host and is used for this box's model requests.",
  });
export { envVars };

/** `runtime` is a plain string here so that an unknown one gets its own error. */
export const createMicrovmRequest = z
  .object({ user_id: userId, runtime: z.string().default('claude-agent'), env_vars: envVars.default({}) })
  .meta({ id: 'CreateMicrovm' });
export const createMicrovmResponse = z
  .object({
    status: z.literal('created'),
    vm_ip: z.string().meta({ description: 'Address at which the host itself reaches the box; unique on the host.' }),
    pid: z.int().meta({ description: "Process id of the box's VMM." }),
  })
  .meta({ id: 'MicrovmCreated' });

export const classicTaskRequest = z
  .object({
    user_id: userId,
    task: z.string().min(1).max(limits.promptLength),
    files: z
      .record(z.string(), fileContent)
      .refine((all) => Object.keys(all).length <= limits.taskFiles, `at most ${limits.taskFiles} files`)
      .default({})
      .meta({ description: 'Path in the workspace -> content. Written when the task begins.' }),
    context: context.optional().meta({ description: 'Earlier messages; the task starts from just these.' }),
  })
  .meta({ id: 'ClassicTask' });

export const userQuery = z.object({ user_id: userId });
export const downloadQuery = z.object({ user_id: userId, filename: z.string() });

/** `modified` is RFC 3339. */
export const workspaceFiles = z
  .object({
    user_id: userId,
    files: z.array(z.object({ path: z.string(), size: z.int(), modified: z.iso.datetime() })),
    truncated: z.boolean(),
  })
  .meta({ id: 'WorkspaceFiles' });

export const classicProcesses = z
  .object({
    user_id: userId,
    processes: z.array(
      z.object({
        pid: z.int(),
        user: z.string(),
        cpu: z.number().meta({ description: 'Percent of one core since it began.' }),
        memory: z.int().meta({ description: 'Resident bytes.' }),
        command: z.string(),
      }),
    ),
  })
  .meta({ id: 'ClassicProcesses' });

export const killMicrovmRequest = z.object({ user_id: userId }).meta({ id: 'KillMicrovm' });
export const killMicrovmResponse = z.object({ status: z.literal('killed'), user_id: userId }).meta({ id: 'MicrovmKilled' });

export const maintenanceResponse = z
  .object({
    status: z.literal('ok'),
    cleaned: z.object({
      processes: z.array(z.int()).meta({ description: 'Process ids of orphaned VMMs that were ended.' }),
      folders: z.array(z.string()).meta({ description: 'Disks and sockets without a box.' }),
      rows: z.array(z.string()).meta({ description: 'Boxes whose creation or removal was completed.' }),
      cgroups: z.array(z.string()),
    }),
  })
  .meta({ id: 'MaintenanceReport' });
export type MaintenanceReport = z.infer<typeof maintenanceResponse>;

export const hostHealth = z
  .object({
    status: z.enum(['ok', 'starting', 'stopping', 'failed']),
    version: z.string(),
    vmm: z.string().nullable(),
    accelerator: z.string().nullable(),
    reason: z.string().nullable().meta({ description: 'Why this accelerator; or why boxes cannot be made.' }),
  })
  .meta({ id: 'Health' });
export type HostHealth = z.infer<typeof hostHealth>;

export const hostStatus = z
  .object({
    host: z.object({
      version: z.string(),
      hostname: z.string(),
      started: z.iso.datetime(),
      uptime_s: z.number(),
      vmm: z.string(),
      vmm_version: z.string(),
      accelerator: z.string(),
      accelerator_reason: z.string(),
      isolation: z
        .object({ uid: z.boolean(), cgroup: z.string(), seccomp: z.boolean() })
        .meta({ description: 'What confines each VMM here.' }),
      model: z.object({ base_url: z.string(), default_key: z.boolean(), default_model: z.string() }),
    }),
    capacity: z.object({
      cpus: z.int(),
      memory_mib: z.int(),
      memory_committed_mib: z.int(),
      memory_limit_mib: z.int(),
      disk_free_mib: z.int(),
      boxes: z.int(),
      max_boxes: z.int(),
    }),
    templates: z
      .array(
        z.object({
          runtime: z.string(),
          cpus: z.int(),
          memory_mib: z.int(),
          disk_mib: z.int(),
          state: z.enum(['ready', 'building']),
        }),
      )
      .meta({ description: 'Machines that new boxes of the same shape are cloned from.' }),
    boxes: z.array(
      z.object({
        id: z.string(),
        user_id: z.string().nullable(),
        runtime: z.string(),
        state: z.string(),
        pid: z.int().nullable(),
        vm_ip: z.string().nullable(),
        age_s: z.number(),
        disk_used_mib: z.number().meta({ description: 'Really taken on the host, with all that follows.' }),
        saved_mib: z.number().meta({ description: 'Of that: the memory of a paused box.' }),
        checkpoints_mib: z.number().meta({ description: 'Of that: its checkpoints.' }),
        disk_mib: z.int(),
        memory_used_mib: z
          .number()
          .nullable()
          .meta({ description: 'Memory that would be free without it: what boxes share of their template counts for none.' }),
        memory_held_mib: z
          .int()
          .meta({ description: "Of the memory of the host: its guest's and what its VMM may take beside it; 0 for a box that sleeps." }),
        memory_mib: z.int(),
        tasks: z.object({ running: z.int(), queued: z.int() }),
      }),
    ),
  })
  .meta({ id: 'HostStatus' });
export type HostStatus = z.infer<typeof hostStatus>;
