import { errorTable } from '@citb/api';
import type { OpenApiDocument } from '@citb/api/openapi.ts';
import { allRoutes, type RouteSpec, type RouteTag, routeTags } from '@citb/api/routes/index.ts';
import { html, type Html } from './html.ts';
import { quickstart } from './quickstart.ts';
import { fieldRow, fields, inline, type Schema, typeName } from './schema.ts';
import { style } from './style.ts';

/** What the page may load: nothing but its own style. */
export const docsPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

type Operation = NonNullable<NonNullable<OpenApiDocument['paths']>[string]['get']>;

/** The document as one page to read: no scripts, no outside assets, works without either. */
export function docsPage(document: OpenApiDocument): string {
  const tags = Object.keys(routeTags) as RouteTag[];
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>claude-in-the-box: API</title>
        <style>
          ${{ html: style }}
        </style>
      </head>
      <body>
        <div class="layout">
          ${navigation(tags)}
          <main>
            <h1 id="top">claude-in-the-box</h1>
            <p class="lead">${document.info.summary}</p>
            ${quickstart} ${tags.map((tag) => section(tag, document))} ${errors()} ${schemas(document)}
          </main>
        </div>
      </body>
    </html>`.html;
}

function navigation(tags: readonly RouteTag[]): Html {
  return html`<nav aria-label="Contents">
    <a class="home" href="#top">claude-in-the-box</a>
    <a href="#quickstart">Quickstart</a><a href="#streams">Streams</a><a href="#errors">Errors</a><a href="#schemas">Schemas</a
    ><a href="/openapi.json">openapi.json</a>
    ${tags.map(
      (tag) =>
        html`<a class="tag" href="#tag-${tag}">${titles[tag]}</a>
          <div class="routes">${routesOf(tag).map((spec) => html`<a href="#${spec.operationId}">${spec.summary}</a>`)}</div>`,
    )}
  </nav>`;
}

function routesOf(tag: RouteTag): RouteSpec[] {
  return allRoutes.filter((spec) => spec.tag === tag);
}

function section(tag: RouteTag, document: OpenApiDocument): Html {
  return html`<h2 id="tag-${tag}">${titles[tag]}</h2>
    <p>${routeTags[tag]}</p>
    ${routesOf(tag).map((spec) => route(spec, document.paths?.[spec.path]?.[spec.method] ?? {}))}`;
}

const titles: Readonly<Record<RouteTag, string>> = {
  classic: 'Classic API',
  boxes: 'Boxes',
  checkpoints: 'Checkpoints and forks',
  transfer: 'Export and import',
  tasks: 'Tasks',
  files: 'Files',
  processes: 'Commands and terminals',
  host: 'Host',
};

function route(spec: RouteSpec, operation: Operation): Html {
  return html`<h3 id="${spec.operationId}">${spec.summary}</h3>
    <div class="path">
      <span class="method ${spec.method}">${spec.method.toUpperCase()}</span>${spec.path}${
        spec.public === true && html`<span class="free">no key</span>`
      }
    </div>
    ${(spec.description ?? '').split('\n\n').map((text) => text !== '' && html`<p>${inline(text)}</p>`)}
    ${spec.curl !== undefined && html`<pre><code>${spec.curl}</code></pre>`} ${parameters(operation)} ${body(spec, operation)}
    ${answers(spec, operation)}`;
}

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly schema?: Schema;
}

function parameters(operation: Operation): Html {
  const all = (operation.parameters ?? []) as readonly Parameter[];
  const groups = [
    ['query', 'Query'],
    ['header', 'Headers'],
  ] as const;
  return html`${groups.map(([place, title]) => {
    const rows = all.filter((one) => one.in === place).map((one) => fieldRow(one.name, one.schema, one.required === true));
    return rows.length > 0 && table(title, rows);
  })}`;
}

function body(spec: RouteSpec, operation: Operation): Html {
  if (spec.bytes !== undefined)
    return html`<h4>Body</h4>
      <p>${spec.bytes.description} <code>${spec.bytes.mediaType}</code></p>`;
  const content = (operation.requestBody as { content?: Record<string, { schema?: Schema }> } | undefined)?.content;
  const schema = content?.['application/json']?.schema;
  return html`${
    schema !== undefined &&
    html`<h4>Body</h4>
      <p>JSON: ${typeName(schema)}</p>`
  }`;
}

function answers(spec: RouteSpec, operation: Operation): Html {
  const rows = Object.entries((operation.responses ?? {}) as Record<string, { content?: Record<string, { schema?: Schema }> }>)
    .filter(([status]) => Number(status) in spec.answers)
    .map(([status, { content = {} }]) => {
      const answer = spec.answers[Number(status)];
      return html`<tr>
        <td><span class="status good">${status}</span></td>
        <td>
          <p>${answer?.description}</p>
          ${Object.entries(content).map(
            ([type, { schema }]) =>
              html`<p><code>${type}</code> ${schema !== undefined && html`<span class="type">${typeName(schema)}</span>`}</p>`,
          )}
          ${Object.entries(answer?.headers ?? {}).map(([name, text]) => html`<p><code>${name}</code> <span class="type">${text}</span></p>`)}
        </td>
      </tr>`;
    });
  const codes = spec.errors.map((code) => html`<a href="#error-${code}"><code>${code}</code></a> `);
  return html`${table('Answers', rows)}
  ${
    codes.length > 0 &&
    html`<h4>Errors</h4>
      <p>${codes}</p>`
  }`;
}

function table(title: string, rows: readonly Html[]): Html {
  return html`<h4>${title}</h4>
    <div class="scroll">
      <table>
        <tbody>
          ${rows}
        </tbody>
      </table>
    </div>`;
}

function errors(): Html {
  const rows = Object.entries(errorTable)
    .toSorted(([, a], [, b]) => a.status - b.status)
    .map(
      ([code, row]) =>
        html`<tr id="error-${code}">
          <td><code>${code}</code></td>
          <td><span class="status bad">${row.status}</span></td>
          <td>${row.message} <span class="type">${row.hint}</span></td>
        </tr>`,
    );
  return html`<h2 id="errors">Errors</h2>
    <p>
      Every error has the same body: a stable code, what happened, what to do now, and the id of the request as it stands in the log of the
      host. <code>detail</code> repeats the message for clients written against FastAPI. 429 and 503 may carry <code>Retry-After</code>.
    </p>
    <pre><code>{"error": {"code": "box_not_found", "message": "…", "hint": "…", "request_id": "req_…"}, "detail": "…"}</code></pre>
    <div class="scroll">
      <table>
        <tbody>
          ${rows}
        </tbody>
      </table>
    </div>`;
}

function schemas(document: OpenApiDocument): Html {
  const all = Object.entries(document.components?.schemas ?? {}).toSorted(([a], [b]) => a.localeCompare(b));
  return html`<h2 id="schemas">Schemas</h2>
    ${all.map(
      ([name, schema]) =>
        html`<h3 id="schema-${name}">${name}</h3>
          ${typeof schema === 'object' && schema.description !== undefined && html`<p>${inline(schema.description)}</p>`} ${fields(schema)}`,
    )}`;
}
