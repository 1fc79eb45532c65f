import assert from 'node:assert/strict';
import { type ErrorBody, type ErrorCode, errorTable } from '@citb/api';

/** Asserts that an answer is this error of the table, in the form that every error has. Returns its body. */
export async function refused(response: Response, code: ErrorCode): Promise<ErrorBody> {
  const body = (await response.json()) as ErrorBody;
  assert.equal(body.error?.code, code, JSON.stringify(body));
  assert.equal(response.status, errorTable[code].status);
  assert.equal(body.detail, body.error.message);
  assert.ok(body.error.hint.length > 0);
  assert.equal(body.error.request_id, response.headers.get('x-request-id'));
  return body;
}
