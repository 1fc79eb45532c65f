/**
 * The commands that the suite runs in boxes: each is ordinary shell, so that a real box does what it says; machines of the double
 * know just these.
 */
export const commands = {
  /** Writes a short text into a file of the workspace. */
  write: (path: string, text: string): string => `printf %s ${text} > /workspace/${path}`,
  parseWrite(command: string): { path: string; text: string } | undefined {
    const [, text, path] = /^printf %s (\S+) > \/workspace\/(\S+)$/.exec(command) ?? [];
    return text === undefined || path === undefined ? undefined : { path, text };
  },
  /** Keeps a word where only the machine's memory has it. */
  remember: (word: string): string => `printf %s ${word} > /dev/shm/word`,
  parseRemember: (command: string): string | undefined => /^printf %s (\S+) > \/dev\/shm\/word$/.exec(command)?.[1],
  /** Prints the word, or nothing when the machine has booted since. */
  recall: 'cat /dev/shm/word 2>/dev/null || true',
  // The brackets keep the pattern from matching the shell that carries it.
  killEnvd: `pkill -9 -f '/opt/citb/envd/main[.]mjs'`,
  killAgent: `pkill -9 -f '/opt/citb/agent/main[.]mjs'`,
} as const;
