import { hashOf } from './hash.ts';
import type { Step, World } from './world.ts';

/** What operations do to a box, and what they are answered. */

export const same = (world: World): Step => ({ answer: 'ok', world });
/** The machine ends in good order, and its memory with it. */
export const forgets = (world: World): Step => ({ answer: 'ok', world: { ...world, memory: null } });

export function put(path: string, content: Buffer): (world: World) => Step {
  const hash = hashOf(content);
  return (world) => ({ answer: 'ok', world: { ...world, files: { ...world.files, [path]: hash } } });
}

export function removed(world: World, path: string): Step {
  const { [path]: content, ...files } = world.files;
  return content === undefined ? { answer: 'file_not_found', world } : { answer: 'ok', world: { ...world, files } };
}

export function moved(world: World, from: string, to: string): Step {
  const { [from]: content, ...files } = world.files;
  return content === undefined
    ? { answer: 'file_not_found', world }
    : { answer: 'ok', world: { ...world, files: { ...files, [to]: content } } };
}
