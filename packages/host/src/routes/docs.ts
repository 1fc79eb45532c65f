import type { OpenApiDocument } from '@citb/api/openapi.ts';

export const docsPolicy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

export function docsPage(document: OpenApiDocument): string {
  return `<!doctype html><title>${document.info.title}</title>`;
}
