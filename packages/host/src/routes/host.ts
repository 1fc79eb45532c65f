import { openApiDocument } from '@citb/api/openapi.ts';
import { host as specs } from '@citb/api/routes/index.ts';
import type { HttpEnv } from '@citb/daemon';
import type { Hono } from 'hono';
import type { Services } from '../services.ts';
import { docsPage, docsPolicy } from './docs/page.ts';
import { register } from './register.ts';

/** `/v1/status`, `/openapi.json` and `/docs`, to which `/` leads. The document and the page are made once. */
export function hostRoutes(app: Hono<HttpEnv>, { host }: Services, version: string): void {
  const document = openApiDocument(version);
  const page = docsPage(document);
  register(app, specs.statusV1, async ({ c }) => c.json(await host.status()));
  register(app, specs.openapi, ({ c }) => c.json(document, 200, { 'Cache-Control': 'no-cache' }));
  register(app, specs.home, ({ c }) => c.redirect('/docs'));
  register(app, specs.docs, ({ c }) => c.html(page, 200, { 'Content-Security-Policy': docsPolicy, 'Cache-Control': 'no-cache' }));
}
