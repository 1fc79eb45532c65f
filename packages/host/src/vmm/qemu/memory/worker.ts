import { parentPort } from 'node:worker_threads';
import { checkPages, loadPages, savePages, spreadPages } from './pages.ts';

/** What can be asked of the thread; the arguments of {@link import('./pages.ts')}. */
export type Request =
  | { readonly do: 'save'; readonly pid: number; readonly base: string; readonly path: string }
  | { readonly do: 'load'; readonly pid: number; readonly base: string; readonly path: string }
  | { readonly do: 'spread'; readonly path: string; readonly target: string }
  | { readonly do: 'check'; readonly path: string };

export interface Answer {
  readonly id: number;
  readonly error?: string;
}

parentPort?.on('message', ({ id, request }: { id: number; request: Request }) => {
  let answer: Answer = { id };
  try {
    work(request);
  } catch (error) {
    answer = { id, error: (error as Error).message };
  }
  parentPort?.postMessage(answer, []);
});

function work(request: Request): void {
  if (request.do === 'save') savePages(request.pid, request.base, request.path);
  else if (request.do === 'load') loadPages(request.path, request.pid, request.base);
  else if (request.do === 'spread') spreadPages(request.path, request.target);
  else checkPages(request.path);
}
