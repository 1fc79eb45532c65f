/**
 * Every bound that a caller or a guest can run into, in one place. Units are in the names.
 * A limit that a caller meets is answered with the error named beside it.
 */
export const limits = {
  /** JSON bodies; beyond it `body_too_large` (413). Larger files go through the streamed file routes. */
  jsonBodyBytes: 32 * 1024 * 1024,
  /** One streamed upload; beyond it `body_too_large` (413). The box's own disk is the usual limit. */
  uploadBytes: 64 * 1024 * 1024 * 1024,
  /** A task's prompt in UTF-16 units: larger texts belong in a file (the agent refuses them anyway). */
  promptLength: 512 * 1024,
  /** Files sent along with one task. */
  taskFiles: 1000,
  /** Messages of a `context`. */
  contextMessages: 10_000,
  /** Unfinished tasks of one box (running and waiting); beyond it `queue_full` (429). */
  tasksPerBox: 16,
  /** Length of a path in the workspace, in bytes (Linux PATH_MAX less the root). */
  pathBytes: 4000,
  /** Length of one path component in bytes (Linux NAME_MAX). */
  nameBytes: 255,
  /** Entries of one listing; more are cut and `truncated` says so. */
  listEntries: 10_000,
  /** One event from the guest, in bytes of JSON; longer contents are cut and marked. */
  eventBytes: 1024 * 1024,
  /** Events kept of one task; beyond it only the end is recorded, after a status that says so. */
  eventsPerTask: 200_000,
  /** The same bound in bytes of JSON. */
  eventBytesPerTask: 256 * 1024 * 1024,
  /** Bytes waiting for a client that does not read; beyond it nothing more is taken from the box for it. */
  clientBufferBytes: 4 * 1024 * 1024,
  /** A client that takes nothing of what waits for it for so long has its stream ended (resume with `after`), in ms. */
  clientStallMs: 60_000,
  /** A body of which nothing comes for so long is given up: `request_timeout` (408), in ms. */
  bodyIdleMs: 60_000,
  /** All headers of a request must be there after it: `request_timeout` (408), in ms. */
  headersMs: 20_000,
  /** Headers of a request together; beyond it `headers_too_large` (431). */
  headerBytes: 16 * 1024,
  /** One frame of a terminal's WebSocket from the client, in bytes; beyond it close code 1009. */
  frameBytes: 1024 * 1024,
  /** A quiet stream carries a heartbeat this often, in ms. */
  heartbeatMs: 15_000,
  /** Labels of a box. */
  labels: 64,
  /** Environment variables of a box. */
  envVars: 256,
  /** Value of one environment variable, in bytes. */
  envValueBytes: 32 * 1024,
  /** Console output kept of a box, in bytes. */
  consoleBytes: 256 * 1024,
} as const;

/** Smallest, largest and default sizes of a box. MiB, cores. */
export const sizes = {
  diskMib: { min: 64, max: 1024 * 1024, default: 5120 },
  memoryMib: { min: 128, max: 256 * 1024 },
  cpus: { min: 1, max: 32 },
} as const;
