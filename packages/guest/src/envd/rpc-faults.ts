import { ApiError, type ErrorCode } from '@citb/api';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { UnknownUser } from './caller.ts';

const codes: Readonly<Partial<Record<ErrorCode, Code>>> = {
  file_not_found: Code.NotFound,
  process_not_found: Code.NotFound,
  not_a_file: Code.InvalidArgument,
  not_a_directory: Code.InvalidArgument,
  invalid_path: Code.InvalidArgument,
  invalid_request: Code.InvalidArgument,
  path_outside: Code.FailedPrecondition,
  file_exists: Code.AlreadyExists,
  forbidden: Code.PermissionDenied,
  unauthorized: Code.Unauthenticated,
  disk_full: Code.ResourceExhausted,
  body_too_large: Code.ResourceExhausted,
  queue_full: Code.Unavailable,
  not_supported: Code.Unimplemented,
};

/** Makes errors of the table, and unknown users, errors of the Connect protocol; also those that end a stream. */
export const withRpcFaults: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: translated(response.message) } : response;
  } catch (error) {
    throw toRpcFault(error);
  }
};

async function* translated<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw toRpcFault(error);
  }
}

function toRpcFault(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof UnknownUser) return new ConnectError(error.message, Code.Unauthenticated);
  if (error instanceof ApiError) return new ConnectError(error.message, codes[error.code] ?? Code.Internal, undefined, undefined, error);
  return new ConnectError(error instanceof Error ? error.message : 'internal error', Code.Internal, undefined, undefined, error);
}
