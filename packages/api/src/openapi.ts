import {
  createDocument,
  type CreateDocumentOptions,
  type ZodOpenApiObject,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponsesObject,
} from 'zod-openapi';
import { z } from 'zod';
import { type ErrorCode, errorTable } from './errors.ts';
import { allRoutes, type Answer, type RouteSpec, routeTags } from './routes/index.ts';

/** What is served at `/openapi.json`. */
export type OpenApiDocument = ReturnType<typeof createDocument>;

const errorBody = z
  .object({
    error: z.object({
      code: z.string().meta({ description: 'A code of the table; stable.', example: 'box_not_found' }),
      message: z.string().meta({ description: 'What happened.' }),
      hint: z.string().meta({ description: 'What to do now.' }),
      request_id: z.string(),
      field: z.string().optional().meta({ description: 'The part of the request that is wrong.' }),
    }),
    detail: z.string().meta({ description: 'The message again, for clients written against FastAPI.' }),
  })
  .meta({ id: 'Error' });

/** The OpenAPI 3.1 document of the host's own API, from the same schemas that check requests. */
export function openApiDocument(version: string): OpenApiDocument {
  const paths: ZodOpenApiPathsObject = {};
  for (const spec of allRoutes) (paths[spec.path] ??= {})[spec.method] = operation(spec);
  const document: ZodOpenApiObject = {
    openapi: '3.1.0',
    info: {
      title: 'claude-in-the-box',
      version,
      summary: 'A private computer with Claude in it for every user of your app.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ apiKey: [] }, { bearer: [] }],
    tags: Object.entries(routeTags).map(([name, description]) => ({ name, description })),
    components: {
      securitySchemes: {
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
        bearer: { type: 'http', scheme: 'bearer' },
      },
    },
    paths,
  };
  return createDocument(document, { override: plain });
}

/** Leaves out what zod says only of JavaScript, and lets answers have fields that this version does not know. */
const plain: NonNullable<CreateDocumentOptions['override']> = ({ jsonSchema, io }) => {
  if (io === 'output' && jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
  if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
};

function operation(spec: RouteSpec): ZodOpenApiOperationObject {
  const requestParams = {
    ...(spec.params === undefined ? {} : { path: spec.params }),
    ...(spec.query === undefined ? {} : { query: spec.query }),
    ...(spec.headers === undefined ? {} : { header: spec.headers }),
  };
  return {
    operationId: spec.operationId,
    tags: [spec.tag],
    summary: spec.summary,
    ...(spec.description === undefined ? {} : { description: spec.description }),
    ...(spec.public === true ? { security: [] } : {}),
    ...(Object.keys(requestParams).length === 0 ? {} : { requestParams }),
    ...requestBody(spec),
    responses: responses(spec),
  };
}

function requestBody(spec: RouteSpec): Pick<ZodOpenApiOperationObject, 'requestBody'> {
  if (spec.json !== undefined) return { requestBody: { required: true, content: { 'application/json': { schema: spec.json } } } };
  if (spec.bytes === undefined) return {};
  return { requestBody: { required: true, description: spec.bytes.description, content: { [spec.bytes.mediaType]: {} } } };
}

function responses(spec: RouteSpec): ZodOpenApiResponsesObject {
  const all: ZodOpenApiResponsesObject = {};
  const rank = [...Map.groupBy(errorsOf(spec), (code) => errorTable[code].status)].toSorted(([a], [b]) => a - b);
  for (const [status, codes] of rank) {
    const lines = codes.map((code) => `${code}: ${errorTable[code].message}`);
    all[`${status as 400}`] = { description: lines.join('\n\n'), content: { 'application/json': { schema: errorBody } } };
  }
  for (const [status, answer] of Object.entries(spec.answers)) all[status as '200'] = response(answer);
  return all;
}

/** Its own errors, and those that come from how it is asked. */
export function errorsOf(spec: RouteSpec): ErrorCode[] {
  const codes: ErrorCode[] = ['bad_request'];
  if (spec.public !== true) codes.push('unauthorized');
  if (spec.json !== undefined) codes.push('invalid_json');
  if (spec.json !== undefined || spec.bytes !== undefined) codes.push('request_timeout', 'body_too_large', 'unsupported_media_type');
  if (spec.json !== undefined || spec.query !== undefined || spec.headers !== undefined) codes.push('invalid_request');
  if (spec.public !== true) codes.push('host_stopping');
  return [...codes, ...spec.errors];
}

function response(answer: Answer) {
  const content = Object.entries(answer.content ?? {}).map(([type, schema]) => [type, schema === null ? {} : { schema }]);
  const headers = Object.entries(answer.headers ?? {}).map(([name, description]) => [name, { description, schema: { type: 'string' } }]);
  return {
    description: answer.description,
    ...(content.length === 0 ? {} : { content: Object.fromEntries(content) }),
    ...(headers.length === 0 ? {} : { headers: Object.fromEntries(headers) }),
  };
}
