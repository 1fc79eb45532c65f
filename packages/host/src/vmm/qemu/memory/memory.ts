import { chmod, link, open, rm } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { VmmError } from '../../vmm-error.ts';
import type { Answer, Request } from './worker.ts';

/**
 * The guest's memory: a file that QEMU maps privately (private-memory.c), so that all machines of one template share its pages
 * until they write. What they write is theirs and is saved and loaded here. docs/decisions/004-private-memory.md
 */

/** Makes the memory of a machine that boots: a file of holes. */
export async function emptyMemory(path: string, memoryMib: number): Promise<void> {
  await rm(path, { force: true });
  const file = await open(path, 'wx', 0o444);
  try {
    await file.truncate(memoryMib * 1024 * 1024);
    await file.chmod(0o444);
  } finally {
    await file.close();
  }
}

/** Makes the memory of a machine the one of another: a second name of the same file, which stays as long as one of them needs it. */
export async function sameMemory(from: string, path: string): Promise<void> {
  await rm(path, { force: true });
  await link(from, path);
}

/** Writes the pages that a paused VM has made its own. @param base the file that its memory is mapped from. @throws VmmError */
export function savePages(pid: number, base: string, path: string): Promise<void> {
  return ask({ do: 'save', pid, base, path });
}

/** Puts them into the memory of a VM whose CPUs have not run yet. @throws VmmError */
export function loadPages(path: string, pid: number, base: string): Promise<void> {
  return ask({ do: 'load', pid, base, path });
}

/** Makes a memory for many of the saved pages of a machine that began empty. @throws VmmError */
export async function spreadPages(path: string, target: string, memoryMib: number): Promise<void> {
  await emptyMemory(target, memoryMib);
  await chmod(target, 0o600);
  await ask({ do: 'spread', path, target });
  await chmod(target, 0o444);
}

/** @throws VmmError unless the saved pages are complete */
export function checkPages(path: string): Promise<void> {
  return ask({ do: 'check', path });
}

let worker: Worker | undefined;
let lastId = 0;
const waiting = new Map<number, { resolve(): void; reject(error: Error): void }>();

/** One thread for all: copying is bound by the memory's speed, not by the number of threads. */
function thread(): Worker {
  if (worker !== undefined) return worker;
  const started = new Worker(new URL('worker.ts', import.meta.url));
  worker = started;
  started.on('message', ({ id, error }: Answer) => {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (waiting.size === 0) started.unref();
    if (error === undefined) asked?.resolve();
    else asked?.reject(new VmmError(error));
  });
  started.on('error', (error: Error) => {
    worker = undefined;
    for (const asked of waiting.values()) asked.reject(new VmmError(`the memory could not be copied: ${error.message}`));
    waiting.clear();
  });
  return started;
}

function ask(request: Request): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const id = ++lastId;
  const to = thread();
  waiting.set(id, { resolve, reject });
  to.ref();
  to.postMessage({ id, request }, []);
  return promise;
}
