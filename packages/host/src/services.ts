import type { Readable } from 'node:stream';
import type {
  AnswerRequest,
  Box,
  BoxEvent,
  BoxExport,
  BoxImport,
  BoxSpace,
  BoxState,
  Checkpoint,
  ContextMessage,
  DrainReport,
  ExecEvent,
  FileChange,
  FileContent,
  FileEntry,
  FileListing,
  HostHealth,
  HostStatus,
  LogLine,
  MaintenanceReport,
  ProcessEntry,
  Task,
  TaskEvent,
  TaskOptions,
  UsageReport,
  TimeoutAction,
} from '@citb/api';

/**
 * What the routes may ask for. All API surfaces (classic, /v1, later E2B) go through these and nothing else.
 * Every method throws `ApiError`s only; every one that reaches into a box wakes it first (boots it when its machine is gone).
 */
export interface Services {
  readonly boxes: Boxes;
  readonly tasks: Tasks;
  readonly files: Files;
  readonly processes: Processes;
  readonly checkpoints: Checkpoints;
  readonly transfer: Transfer;
  readonly host: HostInfo;
}

export interface Boxes {
  /** Resolves when the box answers. `idempotencyKey`: the same key and request again is the same box. @throws unknown_runtime, box_exists, runtime_conflict, host_full, host_disk_full, image_failed, box_failed */
  create(request: NewBox, idempotencyKey?: string): Promise<{ box: Box; created: boolean }>;
  /** @throws box_not_found */
  get(id: string): Promise<Box>;
  /** @throws box_not_found */
  byUser(userId: string): Promise<Box>;
  list(query: {
    limit: number;
    cursor?: string;
    labels: Readonly<Record<string, string>>;
    userId?: string;
    state?: BoxState;
  }): Promise<{ boxes: Box[]; next: string | null }>;
  /** Resolves when nothing of it is left. @throws box_not_found */
  kill(id: string): Promise<void>;
  /** Resolves when its memory and processes are on the disk and its machine is gone. @throws box_not_found, box_not_running, pause_failed, host_disk_full */
  pause(id: string): Promise<Box>;
  /** Resolves when it runs, as it was when it was paused; else booted from its disk. @throws box_not_found, box_failed, host_full */
  resume(id: string): Promise<Box>;
  /** Resolves when its guest has shut down and its machine is gone. @throws box_not_found */
  stop(id: string): Promise<Box>;
  /** Changes settings, whatever its machine does. @throws box_not_found */
  update(id: string, change: BoxChange): Promise<Box>;
  /** Recorded events after `after`, then those that come; ends after `killed`. `undefined` = heartbeat. @throws box_not_found, at once */
  events(id: string, after: number, signal: AbortSignal): AsyncIterable<BoxEvent | undefined>;
  /** The last lines, then with `follow` those that come, until the signal. */
  logs(id: string, options: { tail: number; follow: boolean; signal: AbortSignal }): AsyncIterable<LogLine>;
}

export interface NewBox {
  readonly id?: string | undefined;
  readonly userId?: string | undefined;
  readonly runtime: string;
  /** ANTHROPIC_API_KEY is taken out of it here. */
  readonly envVars: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly diskMib?: number | undefined;
  readonly memoryMib?: number | undefined;
  readonly cpus?: number | undefined;
  readonly timeoutS?: number | undefined;
  readonly onTimeout?: TimeoutAction | undefined;
  /** Default: the host's. */
  readonly idleS?: number | undefined;
  /** ms since 1970. */
  readonly keepAliveUntil?: number | undefined;
}

/** What is left out stays as it is. */
export interface BoxChange {
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly idleS?: number | undefined;
  /** ms since 1970. */
  readonly keepAliveUntil?: number | null | undefined;
  /** From now. */
  readonly timeoutS?: number | null | undefined;
  readonly onTimeout?: TimeoutAction | undefined;
}

export interface Checkpoints {
  /** The state of a box as of one moment; a box that runs goes on. @throws checkpoint_limit, host_disk_full, checkpoint_failed */
  create(boxId: string, wish: { name?: string | undefined; memory: boolean }): Promise<Checkpoint>;
  /** Oldest first. */
  list(boxId: string): Promise<Checkpoint[]>;
  /** Resolves when the box answers, as it was then. @throws checkpoint_not_found, host_full, host_disk_full, box_failed */
  restore(boxId: string, checkpointId: string): Promise<Box>;
  /** @throws checkpoint_not_found */
  remove(boxId: string, checkpointId: string): Promise<void>;
  /** A new box that is this one in all; resolves when it answers. @throws box_exists, checkpoint_not_found, host_full, host_disk_full */
  fork(boxId: string, request: ForkRequest, idempotencyKey?: string): Promise<Box>;
}

export interface ForkRequest {
  readonly id?: string | undefined;
  readonly userId?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** ANTHROPIC_API_KEY is taken out of it here. */
  readonly envVars?: Readonly<Record<string, string>> | undefined;
  readonly checkpoint?: string | undefined;
}

export interface Transfer {
  /** Makes the file; resolves when its content is final. @throws export_limit, host_disk_full */
  /** @param once for one answer: it goes with the daemon */
  prepare(boxId: string, once?: boolean): Promise<BoxExport>;
  /** A prepared file, or a part of it. `range`: the Range header as it came. @throws export_not_found, range_not_satisfiable */
  read(exportId: string, range: string | undefined): Promise<FileDownload>;
  /** @throws export_not_found */
  remove(exportId: string): Promise<void>;
  /** A box from an exported one; it appears, `stopped`, when all of it was checked. @throws import_invalid, import_version, box_exists */
  import(body: Readable, options: { id?: string | undefined; userId?: string | undefined; signal: AbortSignal }): Promise<Box>;
  readonly uploads: Uploads;
  usage(query: { userId?: string | undefined }): Promise<UsageReport>;
  /** @throws box_not_found */
  usageOf(boxId: string): Promise<BoxSpace>;
}

/** Imports that come in pieces and can be resumed. */
export interface Uploads {
  /** @throws import_limit, host_disk_full */
  begin(): Promise<BoxImport>;
  /** @throws import_not_found */
  get(id: string): Promise<BoxImport>;
  /** Resolves when the bytes are on the disk. @throws import_not_found, import_offset, body_too_large, host_disk_full */
  append(id: string, offset: number, body: Readable, signal: AbortSignal): Promise<BoxImport>;
  /** As `import`; again it is the same box. @throws import_not_found, idempotency_conflict, and what `import` does */
  finish(id: string, request: ImportRequest): Promise<Box>;
  /** @throws import_not_found */
  remove(id: string): Promise<void>;
}

export interface ImportRequest {
  readonly id?: string | undefined;
  readonly userId?: string | undefined;
  /** ANTHROPIC_API_KEY is taken out of it here. */
  readonly envVars?: Readonly<Record<string, string>> | undefined;
}

export interface Tasks {
  /** Resolves when the task is safely recorded and handed to the box (or will be, when the box is back). @throws no_agent, no_model_key, queue_full, disk_full */
  start(boxId: string, request: NewTask, idempotencyKey?: string): Promise<Task>;
  /** @throws task_not_found */
  get(boxId: string, taskId: string): Promise<Task>;
  list(boxId: string, query: { limit: number; cursor?: string }): Promise<{ tasks: Task[]; next: string | null }>;
  /** Ends it as `interrupted`; resolves when that is on its way. @throws task_ended */
  cancel(boxId: string, taskId: string): Promise<Task>;
  /** @throws question_not_found */
  answer(boxId: string, taskId: string, questionId: string, answer: AnswerRequest): Promise<void>;
  /** Recorded events after `after`, then live ones; ends after `completion`. `undefined` = heartbeat (each `limits.heartbeatMs` of quiet). */
  events(boxId: string, taskId: string, after: number, signal: AbortSignal): AsyncIterable<TaskEvent | undefined>;
}

export interface NewTask {
  readonly prompt: string;
  /** Keys already went through `workspacePath`. */
  readonly files: Readonly<Record<string, FileContent>>;
  readonly context?: readonly ContextMessage[] | undefined;
  readonly options: TaskOptions;
  /** An Anthropic key that came with the request: used for this box from now on. */
  readonly modelKey?: string | undefined;
}

/** Paths are relative to the workspace and already checked; '' is the workspace. */
export interface Files {
  list(boxId: string, query: { path: string; recursive: boolean; limit: number }): Promise<FileListing>;
  stat(boxId: string, path: string): Promise<FileEntry>;
  /** `range`: the Range header as it came. The stream is never longer than `size`. */
  read(boxId: string, path: string, options: { range?: string | undefined; head: boolean; signal: AbortSignal }): Promise<FileDownload>;
  write(
    boxId: string,
    path: string,
    body: Readable,
    options: { size: number | undefined; mode?: string | undefined; signal: AbortSignal },
  ): Promise<FileEntry>;
  makeFolder(boxId: string, path: string): Promise<FileEntry>;
  move(boxId: string, from: string, to: string, overwrite: boolean): Promise<FileEntry>;
  remove(boxId: string, path: string, recursive: boolean): Promise<void>;
  archive(boxId: string, path: string, format: 'tar' | 'zip', signal: AbortSignal): Promise<Readable>;
  unpack(boxId: string, path: string, tar: Readable, signal: AbortSignal): Promise<{ files: number }>;
  /** The first item is a `heartbeat`, as soon as the watch stands: what changes after it is seen. @throws file_not_found, before any item */
  watch(boxId: string, path: string, signal: AbortSignal): AsyncIterable<FileChange>;
}

export interface FileDownload {
  readonly status: 200 | 206;
  readonly size: number;
  readonly contentRange: string | undefined;
  readonly modified: string;
  readonly body: Readable;
}

export interface Processes {
  list(boxId: string): Promise<ProcessEntry[]>;
  /** The first event is `start`; the last `exit`. Aborting the signal kills a foreground process. */
  exec(boxId: string, command: NewProcess, signal: AbortSignal): AsyncIterable<ExecEvent>;
  /** Starts it and leaves it running. */
  spawn(boxId: string, command: NewProcess): Promise<{ pid: number }>;
  /** Output of a background process: `start`, what was kept, then live, until it exits. @throws process_not_found, before any event */
  output(boxId: string, pid: number, signal: AbortSignal): AsyncIterable<ExecEvent>;
  input(boxId: string, pid: number, data: Buffer | undefined, close: boolean): Promise<void>;
  signal(boxId: string, pid: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Opens (or joins, with `pid`) a terminal. */
  terminal(boxId: string, options: { cols: number; rows: number; pid?: number; user?: string }, signal: AbortSignal): Promise<Terminal>;
}

export interface NewProcess {
  readonly command: string | readonly string[];
  readonly cwd?: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly user?: string | undefined;
  readonly stdin?: Buffer | undefined;
  readonly keepStdin: boolean;
  readonly timeoutS?: number | undefined;
}

export interface Terminal {
  readonly pid: number;
  readonly output: AsyncIterable<Uint8Array>;
  /** Resolves when the program ended; null when it was killed by a signal. */
  readonly exitCode: Promise<number | null>;
  write(data: Uint8Array): Promise<void>;
  resize(cols: number, rows: number): Promise<void>;
}

export interface HostInfo {
  health(): HostHealth;
  status(): Promise<HostStatus>;
  /** Cleans what belongs to no box. Also run at start and every 60 s. */
  maintain(): Promise<MaintenanceReport>;
  /** Saves running boxes to their disks; from then on requests get host_stopping. */
  drain(deadlineMs: number): Promise<DrainReport>;
}
