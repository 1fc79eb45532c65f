import { randomInt } from 'node:crypto';

const letters = '0123456789abcdefghijklmnopqrstuvwxyz';

/** A new task id: 103 bits of chance. */
export function newTaskId(): string {
  return `task_${Array.from({ length: 20 }, () => letters[randomInt(letters.length)]).join('')}`;
}
