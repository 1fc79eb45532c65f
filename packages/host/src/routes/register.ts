import { ApiError, type ErrorCode } from '@citb/api';
import type { RouteSpec } from '@citb/api/routes/index.ts';
import { type HttpContext, type HttpEnv, readJson } from '@citb/daemon';
import type { Hono } from 'hono';
import type { z } from 'zod';
import { nodeOf } from './node.ts';

type Output<T> = T extends z.ZodType ? z.output<T> : undefined;

/** What a handler gets: every part of the request that its route declares, parsed. */
export interface RouteInput<S extends RouteSpec> {
  readonly c: HttpContext;
  readonly params: Output<S['params']>;
  readonly query: Output<S['query']>;
  readonly headers: Output<S['headers']>;
  readonly body: Output<S['json']>;
}
export type RouteHandler<S extends RouteSpec> = (input: RouteInput<S>) => Promise<Response> | Response;

/** Registers a route as the contract declares it. Parameters are checked before the body is read. */
export function register<S extends RouteSpec>(app: Hono<HttpEnv>, spec: S, handler: RouteHandler<S>): void {
  app.on(spec.method.toUpperCase(), honoPath(spec.path), async (c) => {
    try {
      const input = {
        c,
        params: spec.params && parseParams(c, spec.params),
        query: spec.query && parseQuery(new URL(c.req.url).searchParams, spec.query),
        headers: spec.headers && parseHeaders(c, spec.headers),
        body: spec.json && (await parseJson(c, spec.json)),
      };
      return await handler(input as RouteInput<S>);
    } catch (error) {
      // What fails because the caller went away is no failure of the host.
      if (!(error instanceof ApiError) && hasLeft(c))
        throw new ApiError('bad_request', 'The connection ended before the request did.', { cause: error });
      throw error;
    }
  });
}

/** `/v1/boxes/{box}` in hono's form. */
export function honoPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

function hasLeft(c: HttpContext): boolean {
  const { incoming, outgoing } = nodeOf(c);
  return outgoing.destroyed || incoming.errored !== null || (incoming.destroyed && !incoming.complete);
}

const paramErrors: Readonly<Record<string, ErrorCode>> = {
  box: 'box_not_found',
  task: 'task_not_found',
  checkpoint: 'checkpoint_not_found',
  export: 'export_not_found',
  import: 'import_not_found',
  question: 'question_not_found',
  pid: 'process_not_found',
};

/** A name that cannot exist is answered like one that does not. */
function parseParams(c: HttpContext, schema: z.ZodObject): unknown {
  const parsed = schema.safeParse(c.req.param());
  if (parsed.success) return parsed.data;
  const field = String(parsed.error.issues[0]?.path[0]);
  throw new ApiError(paramErrors[field] ?? 'not_found', undefined, { field, cause: parsed.error });
}

/** Unknown names are ignored; a known one may be given once, unless the schema takes a list. */
export function parseQuery<T extends z.ZodObject>(given: URLSearchParams, schema: T): z.output<T> {
  const values: Record<string, string | string[]> = {};
  for (const name of Object.keys(schema.shape)) {
    const all = given.getAll(name);
    if (all.length === 1) values[name] = all[0] as string;
    if (all.length > 1) values[name] = all;
  }
  const parsed = schema.safeParse(values);
  if (parsed.success) return parsed.data;
  const field = String(parsed.error.issues[0]?.path[0]);
  if (Array.isArray(values[field])) throw new ApiError('invalid_request', `${field}: may be given only once`, { field });
  throw parsed.error;
}

function parseHeaders(c: HttpContext, schema: z.ZodObject): unknown {
  return schema.parse(Object.fromEntries(Object.keys(schema.shape).map((name) => [name, c.req.header(name)])));
}

async function parseJson(c: HttpContext, schema: z.ZodObject): Promise<unknown> {
  const type = c.req.header('content-type');
  if (type !== undefined && !/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type))
    throw new ApiError('unsupported_media_type', `This route takes JSON, not ${JSON.stringify(type.slice(0, 100))}.`, {
      hint: 'Send the header Content-Type: application/json.',
    });
  refuseEncoding(c);
  return readJson(c, schema);
}

/** @throws unsupported_media_type for a compressed body: its size could not be bounded before it is unpacked */
export function refuseEncoding(c: HttpContext): void {
  const encoding = c.req.header('content-encoding');
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    throw new ApiError('unsupported_media_type', `The body must not be compressed (Content-Encoding: ${encoding.slice(0, 100)}).`);
}
