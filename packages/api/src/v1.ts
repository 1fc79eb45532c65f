import { z } from 'zod';
import { boxId, boxState, conversationName, runtimes, taskId, taskState, userId } from './ids.ts';
import { context, fileContent } from './messages.ts';
import { envVars } from './classic.ts';
import { labels } from './labels.ts';
import { lifetimeSettings, timeoutAction } from './lifecycle.ts';
import { limits, sizes } from './limits.ts';
import { taskOptions } from './guest.ts';
import { taskEvent, taskOutcome, usageEvent } from './events.ts';
import { boxSpace } from './usage.ts';

export const boxCreate = z
  .object({
    id: boxId.optional(),
    user_id: userId.optional().meta({ description: 'At most one live box a user; the classic routes find the box by it.' }),
    runtime: z
      .string()
      .default('claude-agent')
      .meta({ description: `One of ${runtimes.join(', ')}.` }),
    env_vars: envVars.default({}),
    labels: labels.default({}),
    disk_mib: z
      .int()
      .min(sizes.diskMib.min)
      .max(sizes.diskMib.max)
      .optional()
      .meta({ description: 'Size of the private disk, MiB. Default 5120.' }),
    memory_mib: z
      .int()
      .min(sizes.memoryMib.min)
      .max(sizes.memoryMib.max)
      .optional()
      .meta({ description: 'MiB. Default 1024 for claude-agent, 256 for the others.' }),
    cpus: z.int().min(sizes.cpus.min).max(sizes.cpus.max).optional().meta({ description: 'Default 2 for claude-agent, 1 for the others.' }),
    ...lifetimeSettings,
  })
  .meta({ id: 'BoxCreate' });
export type BoxCreate = z.input<typeof boxCreate>;

export const box = z
  .object({
    id: boxId,
    user_id: z.string().nullable(),
    runtime: z.string(),
    state: boxState,
    reason: z.string().nullable().meta({ description: 'Why it failed or stopped.' }),
    labels,
    disk_mib: z.int(),
    memory_mib: z.int(),
    cpus: z.int(),
    vm_ip: z.string().nullable(),
    pid: z.int().nullable(),
    run_id: z.string().nullable(),
    created: z.iso.datetime(),
    expires: z.iso.datetime().nullable().meta({ description: 'When on_timeout happens.' }),
    on_timeout: timeoutAction,
    idle_s: z.int().meta({ description: 'Paused after so many seconds without activity; 0: never.' }),
    keep_alive_until: z.iso.datetime().nullable(),
    usage: boxSpace
      .optional()
      .meta({ description: 'What it takes on the host’s disk. Only where one box is asked for: GET /v1/boxes/{box}.' }),
  })
  .meta({ id: 'Box' });
export type Box = z.infer<typeof box>;

export const boxListQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  cursor: z.string().max(200).optional().meta({ description: '`next` of the last page.' }),
  label: z
    .union([z.string(), z.array(z.string())])
    .optional()
    .meta({ description: '`name=value`; may be given again: all must hold.' }),
  user_id: z.string().optional(),
  state: boxState.optional(),
});
export const boxList = z.object({ boxes: z.array(box), next: z.string().nullable() }).meta({ id: 'BoxList' });

export const taskCreate = z
  .object({
    prompt: z.string().min(1).max(limits.promptLength),
    files: z
      .record(z.string(), fileContent)
      .refine((all) => Object.keys(all).length <= limits.taskFiles, `at most ${limits.taskFiles} files`)
      .default({}),
    context: context.optional(),
    ...taskOptions.shape,
  })
  .meta({ id: 'TaskCreate' });
export type TaskCreate = z.input<typeof taskCreate>;

export const task = z
  .object({
    id: taskId,
    box_id: boxId,
    state: taskState,
    conversation: conversationName,
    prompt: z.string().meta({ description: 'The first 2000 characters.' }),
    created: z.iso.datetime(),
    started: z.iso.datetime().nullable(),
    ended: z.iso.datetime().nullable(),
    last_seq: z.int().nonnegative(),
    outcome: taskOutcome.nullable(),
    result: z.string().nullable().meta({ description: 'Content of the completion.' }),
    usage: usageEvent.shape.content.nullable(),
  })
  .meta({ id: 'Task' });
export type Task = z.infer<typeof task>;

export const pageQuery = z.object({ limit: z.coerce.number().int().min(1).max(1000).default(100), cursor: z.string().max(200).optional() });
export const taskList = z.object({ tasks: z.array(task), next: z.string().nullable() }).meta({ id: 'TaskList' });
export const eventsQuery = z.object({
  after: z.coerce.number().int().nonnegative().optional().meta({ description: 'Only events with a larger seq. Default 0.' }),
});

export const taskCreateQuery = z.object({
  stream: z.stringbool().optional().meta({ description: 'Answer with the stream of events instead of the task.' }),
});

/** Last line of a stream that ended early. It has no `seq`: it says something of the stream, not of what streams. */
export const streamError = z
  .object({
    type: z.literal('stream_error'),
    content: z.object({ code: z.string(), message: z.string(), hint: z.string() }),
  })
  .meta({ id: 'StreamError' });
export type StreamError = z.infer<typeof streamError>;
export const taskStreamLine = z.union([taskEvent, streamError]);

export const fileQuery = z.object({ path: z.string() });
export const writeQuery = z.object({
  path: z.string(),
  mode: z
    .string()
    .regex(/^[0-7]{3,4}$/, 'must be octal permission bits')
    .optional()
    .meta({ description: 'Permission bits, octal. Default 644.' }),
});
export const unpackQuery = z.object({ path: z.string().default('') });
export const watchQuery = z.object({ path: z.string().default('') });
export const unpacked = z.object({ files: z.int().nonnegative() }).meta({ id: 'Unpacked' });
export const listFilesQuery = z.object({
  path: z.string().default(''),
  recursive: z.stringbool().default(true),
  limit: z.coerce.number().int().min(1).max(limits.listEntries).default(limits.listEntries),
});
export const archiveQuery = z.object({ path: z.string().default(''), format: z.enum(['tar', 'zip']).default('tar') });
export const removeQuery = z.object({ path: z.string(), recursive: z.stringbool().default(false) });
export const moveBody = z.object({ from: z.string(), to: z.string(), overwrite: z.boolean().default(false) }).meta({ id: 'Move' });

/** A command: either one string for the shell, or a program with arguments. */
export const execRequest = z
  .object({
    command: z
      .union([z.string().min(1), z.array(z.string()).min(1)])
      .meta({ description: 'A string for `bash -lc`, or program and arguments.' }),
    cwd: z.string().optional().meta({ description: 'Default /workspace.' }),
    env: envVars.default({}),
    user: z.string().optional().meta({ description: 'Default `user`; `root` is allowed: the VM is the boundary.' }),
    stdin: z
      .union([z.string(), z.object({ base64: z.base64() })])
      .optional()
      .meta({ description: 'Written to stdin, which is then closed. Empty when left out.' }),
    keep_stdin: z.boolean().default(false).meta({ description: 'Leave stdin open for POST …/processes/{pid}/stdin.' }),
    timeout_s: z
      .number()
      .positive()
      .max(7 * 24 * 3600)
      .optional()
      .meta({ description: 'The process gets SIGKILL after it. Default 3600; background: none.' }),
    background: z
      .boolean()
      .default(false)
      .meta({ description: 'Answer with {pid} at once; output is kept in the box (last 1 MiB) for GET …/processes/{pid}/output.' }),
  })
  .meta({ id: 'Exec' });
export type ExecRequest = z.input<typeof execRequest>;

/** One line of an exec stream: `start` first, `exit` last. Output that is not UTF-8 comes in base64. */
export const execEvent = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('start'), pid: z.int() }),
    z.object({ type: z.literal('stdout'), data: z.string(), encoding: z.enum(['utf8', 'base64']) }),
    z.object({ type: z.literal('stderr'), data: z.string(), encoding: z.enum(['utf8', 'base64']) }),
    z.object({ type: z.literal('heartbeat') }),
    z.object({
      type: z.literal('exit'),
      exit_code: z.int().nullable(),
      signal: z.string().nullable(),
      timed_out: z.boolean(),
      error: z.string().nullable(),
    }),
  ])
  .meta({ id: 'ExecEvent' });
export type ExecEvent = z.infer<typeof execEvent>;
export const backgroundProcess = z.object({ pid: z.int() }).meta({ id: 'BackgroundProcess' });

export const stdinRequest = z
  .object({ data: z.union([z.string(), z.object({ base64: z.base64() })]).optional(), close: z.boolean().default(false) })
  .meta({ id: 'Stdin' });
export const signalRequest = z.object({ signal: z.enum(['SIGTERM', 'SIGKILL']).default('SIGTERM') }).meta({ id: 'Signal' });

/**
 * The terminal's WebSocket, `GET /v1/boxes/{id}/terminal?cols=&rows=&pid=`: binary frames are bytes of the terminal in both directions;
 * text frames are JSON: from the client `{"type":"resize","cols","rows"}`, from the host `{"type":"start","pid"}` and `{"type":"exit","exit_code"}`.
 * `pid` joins a terminal that is already open (its program outlives the connection).
 */
/** Close codes of our own (RFC 6455 section 7.4.2 leaves 4000 to 4999 to applications). */
export const terminalClose = { paused: 4001, stopped: 4002 } as const;
export const terminalQuery = z.object({
  cols: z.coerce.number().int().min(1).max(1000).default(80),
  rows: z.coerce.number().int().min(1).max(1000).default(24),
  pid: z.coerce.number().int().positive().optional(),
  user: z.string().optional(),
});
export const terminalControl = z.discriminatedUnion('type', [
  z.object({ type: z.literal('resize'), cols: z.int().min(1).max(1000), rows: z.int().min(1).max(1000) }),
  z.object({ type: z.literal('start'), pid: z.int() }),
  z.object({ type: z.literal('exit'), exit_code: z.int().nullable() }),
]);
export type TerminalControl = z.infer<typeof terminalControl>;

/** Box logs: the console of the VM and what guest services and the host say of this box. */
export const logsQuery = z.object({
  follow: z.stringbool().default(false),
  tail: z.coerce.number().int().min(0).max(10_000).default(1000),
});
export const logLine = z.object({ ts: z.iso.datetime(), source: z.enum(['console', 'host']), line: z.string() }).meta({ id: 'LogLine' });
export type LogLine = z.infer<typeof logLine>;
