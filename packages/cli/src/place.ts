/** One side of a copy: `./x`, `box:path`, `user:ada:path`, or `-` for stdin or stdout. */
export type Place =
  | { readonly kind: 'local'; readonly path: string }
  | { readonly kind: 'box'; readonly box: string; readonly path: string; readonly asFolder: boolean }
  | { readonly kind: 'stream' };

/**
 * What a user typed. A colon before any slash makes it a place in a box; a local file with a colon is written `./a:b`.
 * `/workspace/x` in a box is the same as `x`.
 */
export function parsePlace(text: string): Place {
  if (text === '-') return { kind: 'stream' };
  const user = text.startsWith('user:') ? 'user:'.length : 0;
  const at = text.indexOf(':', user);
  const slash = text.indexOf('/');
  if (at <= user || (slash >= 0 && slash < at)) return { kind: 'local', path: text };
  const typed = text.slice(at + 1);
  const path = typed.replace(/^\/workspace(\/+|$)/, '').replace(/(?<=.)\/+$/, '');
  return {
    kind: 'box',
    box: text.slice(0, at),
    path: path === '.' || path === './' ? '' : path,
    asFolder: path === '' || typed.endsWith('/'),
  };
}
