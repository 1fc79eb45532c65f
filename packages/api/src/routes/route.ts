import type { z } from 'zod';
import type { ErrorCode } from '../errors.ts';

/** One route, declared once: the host registers it, the OpenAPI document and `/docs` describe it. */
export interface RouteSpec {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** In OpenAPI's form: `/v1/boxes/{box}`. */
  readonly path: string;
  readonly operationId: string;
  readonly tag: RouteTag;
  /** A few words, for lists. */
  readonly summary: string;
  /** Sentences in plain text; paragraphs are separated by an empty line. */
  readonly description?: string;
  /** Needs no key. */
  readonly public?: true;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  /** Names in lower case, as node has them. */
  readonly headers?: z.ZodObject;
  /** A JSON body. */
  readonly json?: z.ZodObject;
  /** A body of bytes, and what they are. */
  readonly bytes?: { readonly mediaType: string; readonly description: string };
  readonly answers: Readonly<Record<number, Answer>>;
  /** Beside those that any route may give. */
  readonly errors: readonly ErrorCode[];
  /** A command to show in `/docs`; `$SANDBOX` and `$API_KEY` as in the README. */
  readonly curl?: string;
}

export interface Answer {
  readonly description: string;
  /** Media type -> schema of the body, or of one line or event of it; `null` for bytes. */
  readonly content?: Readonly<Record<string, z.ZodType | null>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sections of the document, in their order. */
export const routeTags = {
  classic: 'The API of the original claude-in-the-box, unchanged: one box a user, found by user_id.',
  boxes: 'A computer of its own for every user.',
  checkpoints: 'States of a box to go back to, or to go on from in another box.',
  transfer: 'Whole boxes, from one host to another.',
  tasks: 'Work for the agent in a box, and the events of it.',
  files: 'Files of a box, all below /workspace.',
  processes: 'Commands, processes and terminals in a box.',
  host: 'The host itself.',
} as const;
export type RouteTag = keyof typeof routeTags;

/** Keeps the literal types of a route, so that its handler's input is inferred from it. */
export function route<const S extends RouteSpec>(spec: S): S {
  return spec;
}

export const mediaTypes = { json: 'application/json', ndjson: 'application/x-ndjson', sse: 'text/event-stream' } as const;

/** An answer with a JSON body. */
export function json(schema: z.ZodType, description: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { description, content: { [mediaTypes.json]: schema }, headers };
}

/** An answer that streams: NDJSON, or server-sent events when `Accept` says so. */
export function stream(line: z.ZodType, description: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { description, content: { [mediaTypes.ndjson]: line, [mediaTypes.sse]: line }, headers };
}
