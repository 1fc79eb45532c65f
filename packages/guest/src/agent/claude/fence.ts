import { accessSync, constants, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A fence around one Claude process and everything that it starts, so that all of it can be killed: a killed Claude leaves
 * the children of its tools behind, and two Claudes on one conversation would lose half of it.
 */
export interface Fence {
  /** The command that starts a program inside. */
  command(program: string, args: readonly string[]): { program: string; args: string[]; env: Record<string, string> };
  /** Kills whatever is inside, at once. */
  kill(): void;
}

/** Makes fences, and knows those of an earlier run of this server. */
export interface Fences {
  create(): Fence;
  /** Kills what an earlier run left. */
  killLeftovers(): void;
}

/** Fences by cgroup where it may be written, else by a mark in the environment. */
export function createFences(cgroup: string, mark: string): Fences {
  try {
    accessSync(join(cgroup, 'cgroup.procs'), constants.W_OK);
    accessSync(cgroup, constants.W_OK);
    return new CgroupFences(cgroup);
  } catch {
    return new MarkFences(mark);
  }
}

/** One cgroup per Claude process; the kernel kills all of it in one step (`cgroup.kill`, Linux 5.14). */
class CgroupFences implements Fences {
  readonly #parent: string;
  #count = 0;

  constructor(parent: string) {
    this.#parent = parent;
  }

  create(): Fence {
    this.#sweep();
    this.#count += 1;
    const folder = join(this.#parent, `claude-${process.pid}-${this.#count}`);
    mkdirSync(folder);
    return {
      // The shell moves itself in before it becomes the program, so nothing is ever started outside.
      command: (program, args) => ({
        program: '/bin/sh',
        args: ['-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', folder, program, ...args],
        env: {},
      }),
      kill: () => killCgroup(folder),
    };
  }

  killLeftovers(): void {
    for (const folder of this.#folders()) killCgroup(folder);
    this.#sweep();
  }

  #folders(): string[] {
    return readdirSync(this.#parent)
      .filter((name) => name.startsWith('claude-'))
      .map((name) => join(this.#parent, name));
  }

  /** Removes the empty ones: a cgroup can go only when its last process is gone. */
  #sweep(): void {
    for (const folder of this.#folders())
      try {
        rmdirSync(folder);
      } catch {
        // Something still runs in it.
      }
  }
}

function killCgroup(folder: string): void {
  try {
    writeFileSync(join(folder, 'cgroup.kill'), '1');
  } catch {
    // Gone already.
  }
}

const markName = 'CITB_FENCE';

/** Children inherit the environment, also those that leave their process group. Used where there is no cgroup. */
class MarkFences implements Fences {
  readonly #mark: string;
  #count = 0;

  constructor(mark: string) {
    this.#mark = mark;
  }

  create(): Fence {
    this.#count += 1;
    const mark = `${this.#mark}#${process.pid}-${this.#count}#`;
    return {
      command: (program, args) => ({ program, args: [...args], env: { [markName]: mark } }),
      kill: () => killMarked(mark),
    };
  }

  killLeftovers(): void {
    killMarked(`${this.#mark}#`);
  }
}

function killMarked(mark: string): void {
  // A second look finds what was started during the first.
  for (let round = 0; round < 5; round += 1) {
    const pids = markedPids(mark);
    if (pids.length === 0) return;
    for (const pid of pids)
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Gone already.
      }
  }
}

function markedPids(mark: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid > 1 && pid !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`${markName}=${mark}`);
      } catch {
        return false;
      }
    });
}
