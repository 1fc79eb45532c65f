import { z } from 'zod';
import { context, fileContent } from './messages.ts';
import { conversationName, taskId, taskState } from './ids.ts';
import { limits } from './limits.ts';

/**
 * The contract between the host and what runs in a box. Two HTTP servers in the guest, both reached through
 * `Vm.dial(port)`, both guarded by the box's access token in `X-Access-Token`:
 * envd (port 49983, E2B's protocol plus `/workspace/*`) and the agent server (port 49984).
 */
export const guestPorts = { envd: 49983, agent: 49984 } as const;

/** Fixed places in the guest. */
export const guestPaths = {
  /** What the user and the agent work in. */
  workspace: '/workspace',
  /** The read-only guest disk: node, envd, agent server, busybox. */
  tools: '/opt/citb',
  /** The small state file system of its own, so that a full workspace cannot take the transcript. */
  state: '/var/lib/citb',
  /** tmpfs, mode 0750 root:user: what `POST /init` brought (see {@link guestInit}). */
  init: '/run/citb/init.json',
} as const;

/** The network of every box. */
export const guestNetwork = { address: '10.0.2.15', prefix: 24, gateway: '10.0.2.2', broker: '10.0.2.100', brokerPort: 80 } as const;

/** Who a machine is that is to become a template: no box can have this id. A clone of it learns its own by the next `POST /init`. */
export const templateIdentity = { boxId: '.template', hostname: 'template', machineId: '0'.repeat(32) } as const;

/** The user that the agent and commands run as. */
export const guestUser = { name: 'user', uid: 1000, gid: 1000, home: '/home/user' } as const;

/**
 * Body of envd's `POST /init`: E2B's fields that we use, and ours. The first call sets the access token; later calls
 * must carry it (and may replace it, as a clone's first call does). Answer 204; 401 when somebody else was first.
 */
export const guestInit = z.object({
  accessToken: z.string().min(32),
  /** RFC 3339; envd sets the clock when it is off by more than 50 ms. */
  timestamp: z.iso.datetime().optional(),
  envVars: z.record(z.string(), z.string()).default({}),
  defaultUser: z.string().optional(),
  defaultWorkdir: z.string().optional(),
  /** E2B's name for the run id: one incarnation of the VM. */
  lifecycleID: z.string().optional(),
  /** Ours: who this box is. Host name and machine-id are set from it. */
  identity: z.object({ boxId: z.string(), hostname: z.string(), machineId: z.string().regex(/^[0-9a-f]{32}$/) }).optional(),
  /** Ours: base64 of fresh random bytes, added to the kernel's pool with credit. */
  entropy: z.base64().optional(),
  /**
   * Ours: how many connections to the broker the machine had when it was saved. Those of another incarnation are reset; looking for
   * them takes an emulated guest tens of milliseconds, which 0 saves. Absent: nobody knows.
   */
  openConnections: z.int().nonnegative().optional(),
  /** Ours: settings of the agent server, in boxes that have one. */
  agent: z
    .object({
      /** Where Claude Code sends its model requests; the broker. */
      anthropicBaseUrl: z.string(),
      model: z.string().optional(),
    })
    .optional(),
});
export type GuestInit = z.infer<typeof guestInit>;

/** Body of envd's `POST /clock` (ours): the time after the CPUs stood. `POST /flush` (no body) puts what was written on the disk. Answer 204. */
export const guestClock = z.object({ timestamp: z.iso.datetime() });

/**
 * What the agent's own tool asks of the host, through the box's one way out: `POST http://<broker>` + this path. The host knows the box by
 * its channel. Answer 200 {@link checkpointMade}; any other status with an error in Anthropic's form, whose message is for the agent.
 */
export const agentCheckpointPath = '/citb/v1/checkpoint';
export const checkpointRequest = z.object({ name: z.string().max(200) });
export const checkpointMade = z.object({ id: z.string(), name: z.string().nullable() });

// --- envd's /workspace routes: file access that cannot leave the root -------------------------------------------

/** One entry of a listing. `path` is relative to the workspace. */
export const fileEntry = z
  .object({
    path: z.string(),
    type: z.enum(['file', 'directory', 'symlink', 'other']),
    size: z.int().nonnegative().meta({ description: 'Bytes.' }),
    modified: z.iso.datetime(),
    mode: z
      .string()
      .regex(/^[0-7]{3,4}$/)
      .meta({ description: 'Permission bits, octal.' }),
    target: z.string().optional().meta({ description: 'Where a symlink points.' }),
  })
  .meta({ id: 'FileEntry' });
export type FileEntry = z.infer<typeof fileEntry>;

export const fileListing = z
  .object({
    entries: z.array(fileEntry),
    truncated: z.boolean().meta({ description: `More than the limit (${limits.listEntries}) exist.` }),
  })
  .meta({ id: 'FileListing' });
export type FileListing = z.infer<typeof fileListing>;

export const fileChange = z
  .object({ type: z.enum(['created', 'modified', 'removed', 'renamed', 'attributes', 'heartbeat']), path: z.string() })
  .meta({ id: 'FileChange', description: 'One line of a watch.' });
export type FileChange = z.infer<typeof fileChange>;

/**
 * envd, ours (all under `/workspace`, errors as {@link import('./errors.ts').ErrorBody}):
 * - `GET    /workspace/list?path=&recursive=true&limit=` -> {@link fileListing}, sorted by path (code units)
 * - `GET    /workspace/stat?path=` -> {@link fileEntry}
 * - `GET    /workspace/file?path=` -> bytes; `Range` (one range) -> 206; `Content-Length`, `Last-Modified`; HEAD too. Never blocks on a fifo
 * - `PUT    /workspace/file?path=&mode=` body: bytes, streamed to a temporary name, fsynced, renamed; parents made -> {@link fileEntry}
 * - `PUT    /workspace/upload?path=&mode=&bytes=` upgrades the connection: {@link uploadProtocol}
 * - `POST   /workspace/folder?path=` -> 201 {@link fileEntry} (also when it exists)
 * - `POST   /workspace/move` {from,to,overwrite} -> {@link fileEntry}
 * - `DELETE /workspace/entry?path=&recursive=` -> 204
 * - `GET    /workspace/archive?path=&format=tar` -> tar stream of regular files, folders and links (as links); special files are left out
 * - `PUT    /workspace/archive?path=` body: tar, unpacked inside path only -> {files: n}
 * - `GET    /workspace/watch?path=&recursive=` -> NDJSON of {@link fileChange}, heartbeat lines on quiet
 */
export const moveRequest = z.object({ from: z.string(), to: z.string(), overwrite: z.boolean().default(false) });

/**
 * How a large file goes into a box: `PUT /workspace/upload` with `Connection: Upgrade` and this in `Upgrade`. The answer is 101; then
 * the host sends so many bytes, and the guest ends the connection with {@link uploadAnswer} as JSON, after the last byte or as soon as it
 * fails. A connection that ends early leaves no file. A box may have an older envd, which answers 404 and has touched nothing.
 */
export const uploadProtocol = 'citb-upload';
/** `body`: {@link fileEntry}, or an error when the HTTP status is one. */
export const uploadAnswer = z.object({ status: z.int(), body: z.unknown() });
export type UploadAnswer = z.infer<typeof uploadAnswer>;

/** envd's `GET /processes` (ours): every process of the guest, from /proc. */
export const processEntry = z
  .object({
    pid: z.int(),
    ppid: z.int(),
    user: z.string(),
    cpu_percent: z.number().meta({ description: 'Since the process began, of one core.' }),
    memory_bytes: z.int().meta({ description: 'Resident set.' }),
    state: z.string(),
    started: z.iso.datetime(),
    command: z.string().meta({ description: 'Command line, at most 4096 characters.' }),
  })
  .meta({ id: 'Process' });
export type ProcessEntry = z.infer<typeof processEntry>;
export const processListing = z.object({ processes: z.array(processEntry) });

/** envd's `GET /metrics`: E2B's fields (see its envd.yaml). */
export const guestMetrics = z.looseObject({
  ts: z.number(),
  cpu_count: z.number(),
  cpu_used_pct: z.number(),
  mem_total: z.number(),
  mem_used: z.number(),
  disk_used: z.number(),
  disk_total: z.number(),
});
export type GuestMetrics = z.infer<typeof guestMetrics>;

// --- the agent server ---------------------------------------------------------------------------------------------

/** How one task is to be done. */
export const taskOptions = z.object({
  conversation: conversationName.optional(),
  model: z.string().min(1).max(200).optional().meta({ description: "Claude model; the host's default when left out." }),
  system_prompt: z.string().max(100_000).optional().meta({ description: 'Added to the system prompt of Claude Code.' }),
  max_turns: z.int().min(1).max(10_000).optional(),
  max_budget_usd: z.number().positive().max(100_000).optional(),
  timeout_s: z
    .int()
    .min(1)
    .max(7 * 24 * 3600)
    .optional()
    .meta({ description: 'Wall time after which the task is interrupted, in seconds. Default 3600.' }),
});
export type TaskOptions = z.infer<typeof taskOptions>;

/**
 * Body of the agent server's `POST /tasks`: answered 202 with {@link agentTask} once it is on the state disk.
 * The same id again is the same task. Errors: `queue_full`, `disk_full`.
 * With `context` a conversation of its own is begun from just these messages; the box's own stays as it is.
 */
export const agentTaskRequest = z.object({
  id: taskId,
  prompt: z.string().min(1).max(limits.promptLength),
  files: z.record(z.string(), fileContent).default({}),
  context: context.optional(),
  options: taskOptions.default({}),
});
export type AgentTaskRequest = z.infer<typeof agentTaskRequest>;

export const agentTask = z.object({ id: taskId, state: taskState, last_seq: z.int().nonnegative() });
export type AgentTask = z.infer<typeof agentTask>;

export const answerRequest = z
  .object({
    answers: z
      .record(z.string(), z.union([z.string(), z.array(z.string())]))
      .meta({ description: 'The question text -> the chosen label(s) or free text.' }),
  })
  .meta({ id: 'Answer' });
export type AnswerRequest = z.infer<typeof answerRequest>;

/**
 * The agent server:
 * - `GET  /health` -> 200 {agent: "ready"|"starting", version}
 * - `POST /tasks`; `GET /tasks` -> {tasks}; `GET /tasks/:id` -> {@link agentTask}
 * - `GET  /tasks/:id/events?after=` -> NDJSON of task events from the journal, then live, ended by `completion`;
 *   a heartbeat (empty line) each 5 s. The journal is fsynced before `completion` is sent.
 * - `POST /tasks/:id/cancel` -> 202 (a queued task ends at once, a running one is interrupted)
 * - `POST /tasks/:id/answers/:questionId` {@link answerRequest} -> 204
 * - `DELETE /tasks/:id` -> 204: the host has all its events; the journal of an ended task may go
 */
export const agentPaths = { tasks: '/tasks', health: '/health' } as const;
