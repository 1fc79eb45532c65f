/**
 * The error table: each failure that a caller can see has one row. Nothing else invents an error.
 * `status` is the HTTP status, `message` what happened, `hint` what to do now.
 */
export const errorTable = {
  invalid_json: { status: 400, message: 'The body is not valid JSON.', hint: 'Send a JSON object with Content-Type: application/json.' },
  invalid_request: {
    status: 422,
    message: 'The request does not have the expected form.',
    hint: 'Correct the fields named in the message; /docs shows each route.',
  },
  invalid_path: {
    status: 400,
    message: 'The path is not usable.',
    hint: 'Use a relative path inside the workspace: no "..", no leading "/", no NUL, at most 255 bytes a name.',
  },
  bad_request: {
    status: 400,
    message: 'This is not a valid HTTP request.',
    hint: 'Send valid HTTP/1.1; percent-encode what is not ASCII in the address.',
  },
  unauthorized: {
    status: 401,
    message: 'The API key is missing or wrong.',
    hint: "Send the host's key in the X-API-Key header: CITB_API_KEY, or the file api-key in its data directory.",
  },
  forbidden: { status: 403, message: 'This caller may not do that.', hint: 'Use the key that owns the box.' },
  not_found: { status: 404, message: 'There is nothing at this address.', hint: 'See /docs for the routes.' },
  method_not_allowed: { status: 405, message: 'This address does not take this method.', hint: 'See /docs for the methods of each route.' },
  unknown_runtime: { status: 422, message: 'There is no such runtime.', hint: 'Use one of: claude-agent, python, node, bash.' },
  box_not_found: { status: 404, message: 'There is no such box.', hint: 'Create it first: POST /create_microvm or POST /v1/boxes.' },
  box_exists: { status: 409, message: 'A box with this id exists.', hint: 'Use it, kill it first, or choose another id.' },
  runtime_conflict: {
    status: 409,
    message: 'The user has a box with another runtime.',
    hint: 'Kill that box first, or ask for the runtime it has.',
  },
  box_busy: { status: 409, message: 'The box is being changed by another request.', hint: 'Try again in a moment.' },
  box_killed: { status: 409, message: 'The box was killed while the request ran.', hint: 'Create a new box.' },
  box_failed: {
    status: 503,
    message: 'The box could not be started.',
    hint: 'Try again; GET /v1/boxes/{id}/logs has its console. If it goes on, kill it and create a new one.',
  },
  box_unreachable: {
    status: 503,
    message: 'The box does not answer.',
    hint: 'Try again; it is restarted from its disk when its machine is gone.',
  },
  checkpoint_not_found: {
    status: 404,
    message: 'The box has no such checkpoint.',
    hint: 'GET /v1/boxes/{id}/checkpoints lists them; automatic ones expire.',
  },
  checkpoint_limit: {
    status: 409,
    message: 'The box has as many checkpoints as a box may have.',
    hint: 'Delete one first: DELETE /v1/boxes/{id}/checkpoints/{checkpoint}.',
  },
  checkpoint_failed: {
    status: 503,
    message: 'The state of the box could not be copied.',
    hint: 'The box goes on as it was. Try again; GET /v1/boxes/{id}/logs has the reason.',
  },
  rolled_back: {
    status: 409,
    message: 'The box was rolled back to an earlier state while the task ran.',
    hint: 'Start the task again.',
  },
  export_not_found: {
    status: 404,
    message: 'There is no such export.',
    hint: 'Prepare one with POST /v1/boxes/{id}/exports; it is kept for a day.',
  },
  export_limit: {
    status: 429,
    message: 'This host holds as many prepared exports as it may.',
    hint: 'Delete one that is done: DELETE /v1/exports/{id}.',
    retryAfterSeconds: 60,
  },
  import_not_found: {
    status: 404,
    message: 'There is no such import.',
    hint: 'Begin one with POST /v1/imports; an unfinished one is kept for a day after its last byte.',
  },
  import_limit: {
    status: 429,
    message: 'This host has as many imports under way as it may.',
    hint: 'Finish or delete one: DELETE /v1/imports/{id}.',
    retryAfterSeconds: 60,
  },
  import_offset: {
    status: 409,
    message: 'The host has another part of the file than these bytes follow on.',
    hint: 'GET /v1/imports/{id} tells the offset at which to go on.',
  },
  import_invalid: { status: 422, message: 'This is not an intact exported box.', hint: 'Download it again and compare its sha256.' },
  import_version: {
    status: 422,
    message: 'The exported box was made by a newer version.',
    hint: 'Bring this host to the version of the one that exported it.',
  },
  box_not_running: {
    status: 409,
    message: 'The box does not run, so it has no memory to keep.',
    hint: 'POST /v1/boxes/{id}/resume starts it; a stopped box costs no memory already.',
  },
  box_paused: {
    status: 409,
    message: 'The box was paused meanwhile.',
    hint: 'Its programs go on when it wakes: POST /v1/boxes/{id}/resume, or any other request that needs the box.',
  },
  box_stopped: { status: 409, message: 'The box was stopped meanwhile.', hint: 'Its programs have ended. The next request boots it.' },
  pause_failed: {
    status: 503,
    message: 'The box could not be paused.',
    hint: 'It goes on running. Try again; GET /v1/boxes/{id}/logs has the reason.',
  },
  no_agent: { status: 409, message: 'This box has no agent in it.', hint: 'Create a box with runtime "claude-agent" for tasks.' },
  no_model_key: {
    status: 503,
    message: 'There is no Anthropic key for this box.',
    hint: 'Send env_vars.ANTHROPIC_API_KEY when creating the box, or start the host with ANTHROPIC_API_KEY.',
  },
  task_not_found: { status: 404, message: 'There is no such task.', hint: 'GET /v1/boxes/{id}/tasks lists the tasks of a box.' },
  task_ended: { status: 409, message: 'The task has already ended.', hint: 'Read its events; start a new task to go on.' },
  question_not_found: {
    status: 404,
    message: 'The agent is not waiting for an answer with this id.',
    hint: 'Take question_id from the last question event.',
  },
  queue_full: {
    status: 429,
    message: 'Too many tasks wait for this box.',
    hint: 'Wait for one to end, then try again.',
    retryAfterSeconds: 5,
  },
  idempotency_conflict: {
    status: 409,
    message: 'This Idempotency-Key was used with another request.',
    hint: 'Use a new key for a new request.',
  },
  file_not_found: { status: 404, message: 'There is no such file in the workspace.', hint: 'List the files to see the names.' },
  not_a_file: {
    status: 409,
    message: 'This is not a regular file.',
    hint: 'Folders, links, pipes and devices cannot be read as files; archive=tar or archive=zip gives a folder.',
  },
  not_a_directory: { status: 409, message: 'This is not a folder.', hint: 'Give the path of a folder.' },
  path_outside: {
    status: 403,
    message: 'The path leads out of the workspace.',
    hint: 'Symbolic links that point outside are not followed.',
  },
  folder_not_empty: { status: 409, message: 'The folder is not empty.', hint: 'Remove it with recursive=true.' },
  file_exists: { status: 409, message: 'There is already something at this path.', hint: 'Choose another name or remove it first.' },
  range_not_satisfiable: {
    status: 416,
    message: 'The range lies outside the file.',
    hint: 'Ask for bytes below the size that HEAD or the listing gives.',
  },
  disk_full: { status: 507, message: "The box's disk is full.", hint: 'Remove files in the box, or create a box with a larger disk_mib.' },
  process_not_found: { status: 404, message: 'There is no such process in the box.', hint: 'GET /v1/boxes/{id}/processes lists them.' },
  request_timeout: {
    status: 408,
    message: 'The request did not arrive in time.',
    hint: 'Send it again over a connection that does not stall.',
  },
  headers_too_large: { status: 431, message: 'The headers are too large.', hint: 'Send at most 16 KiB of headers.' },
  upgrade_required: {
    status: 426,
    message: 'This address speaks WebSocket only.',
    hint: 'Connect with a WebSocket client, for example `citb shell`.',
  },
  body_too_large: {
    status: 413,
    message: 'The body is too large.',
    hint: 'Send large files through PUT /v1/boxes/{id}/files/content, which streams.',
  },
  unsupported_media_type: { status: 415, message: 'The body has a type that this route does not take.', hint: 'See /docs.' },
  host_full: {
    status: 503,
    message: 'This host has no room for another box.',
    hint: 'Try again later, kill boxes that are done, or add a host.',
    retryAfterSeconds: 10,
  },
  host_disk_full: {
    status: 503,
    message: 'This host has too little disk left.',
    hint: 'The operator must free space in the data directory; boxes that run go on.',
    retryAfterSeconds: 60,
  },
  host_stopping: { status: 503, message: 'This host is stopping.', hint: 'Try again in a few seconds.', retryAfterSeconds: 5 },
  image_failed: {
    status: 503,
    message: 'The image of this runtime could not be built.',
    hint: 'Run `citb doctor` on the host; its log has the build output.',
    retryAfterSeconds: 30,
  },
  not_supported: { status: 501, message: 'This host cannot do that.', hint: 'See /status for what it can do.' },
  internal: { status: 500, message: 'Something went wrong on the host.', hint: 'Report the request_id; the host log has the details.' },
} as const satisfies Record<string, ErrorRow>;

interface ErrorRow {
  readonly status: number;
  readonly message: string;
  readonly hint: string;
  /** Sent as Retry-After, in seconds. */
  readonly retryAfterSeconds?: number;
}

export type ErrorCode = keyof typeof errorTable;

/** The body of every error answer. `detail` repeats the message for clients written against FastAPI. */
export interface ErrorBody {
  error: { code: ErrorCode; message: string; hint: string; request_id: string; field?: string };
  detail: string;
}

/** A failure that the caller is told about. Throw it anywhere; the HTTP assembly writes the answer. */
export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly hint: string;
  readonly retryAfterSeconds: number | undefined;
  readonly field: string | undefined;
  /** Set where the error came over the wire: the host's log has it. */
  readonly requestId: string | undefined;

  /** @param message what happened in this case; the table's sentence when left out */
  constructor(code: ErrorCode, message?: string, options?: { hint?: string; field?: string; requestId?: string; cause?: unknown }) {
    const row: ErrorRow = errorTable[code];
    super(message ?? row.message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ApiError';
    this.code = code;
    this.status = row.status;
    this.hint = options?.hint ?? row.hint;
    this.retryAfterSeconds = row.retryAfterSeconds;
    this.field = options?.field;
    this.requestId = options?.requestId;
  }

  /** The wire form. */
  body(requestId: string): ErrorBody {
    return {
      error: {
        code: this.code,
        message: this.message,
        hint: this.hint,
        request_id: requestId,
        ...(this.field === undefined ? {} : { field: this.field }),
      },
      detail: this.message,
    };
  }
}

/** True for a code of the table: used when an error comes over the wire. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorTable, code);
}
