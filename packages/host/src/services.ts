import type { Readable } from 'node:stream';
import type {
  AnswerRequest,
  Box,
  BoxState,
  ContextMessage,
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
}
