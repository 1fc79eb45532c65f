import { readFileSync, writeFileSync } from 'node:fs';

/**
 * Starts a program that the kernel may end when memory runs out. envd itself is protected from that by a negative
 * score, which a child inherits, and so would the program that eats the memory. The score is taken off while `spawn`
 * forks, which it does before it returns: there is no moment in which the program could hand the protection on.
 * @param file where the score of this process is
 */
export function expendable<T>(spawn: () => T, file = '/proc/self/oom_score_adj'): T {
  const protection = readFileSync(file, 'utf8').trim();
  if (!protection.startsWith('-')) return spawn();
  writeFileSync(file, '0');
  try {
    return spawn();
  } finally {
    writeFileSync(file, protection);
  }
}
