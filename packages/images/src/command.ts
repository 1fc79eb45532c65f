import { NonZeroExitError, x } from 'tinyexec';
import { hintFor, ImageError } from './image-error.ts';

/** Lines of a failed program's output that its error carries. */
const tailLines = 15;

/** Debian package that brings a program, for the hint when it is missing. */
const packageOf: Record<string, string> = { 'mkfs.erofs': 'erofs-utils', flock: 'util-linux', setpriv: 'util-linux', 'apt-get': 'apt' };

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Sees each line of stdout and stderr as it comes. */
  readonly onLine?: (line: string) => void;
}

/**
 * Runs a build step and answers its stdout and stderr, trimmed. The program is killed when this process dies, also by
 * SIGKILL: an orphaned build would write into a folder that the next one cleans.
 * @param what what is being done, for the error: "The Debian base could not be built"
 * @throws ImageError
 */
export async function run(what: string, program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const lines: string[] = [];
  try {
    const running = x('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], {
      nodeOptions: { ...(options.cwd === undefined ? {} : { cwd: options.cwd }), env: { LC_ALL: 'C.UTF-8', ...options.env } },
      throwOnError: true,
    });
    for await (const line of running) {
      lines.push(line);
      options.onLine?.(line);
    }
  } catch (error) {
    throw failure(what, program, error, lines.filter((line) => line.trim() !== '').slice(-tailLines));
  }
  return lines.join('\n').trim();
}

function failure(what: string, program: string, error: unknown, output: readonly string[]): ImageError {
  const code = error instanceof NonZeroExitError ? error.exitCode : undefined;
  // 127: setpriv found no such program.
  if (code === 127 || (error as NodeJS.ErrnoException).code === 'ENOENT') {
    const hint = `${program} is missing: sudo apt-get install --no-install-recommends ${packageOf[program] ?? program}`;
    return new ImageError(`${what}.`, hint, [], error);
  }
  const ending = code === undefined ? 'was ended by a signal' : `ended with ${code}`;
  return new ImageError(`${what}: ${program} ${ending}.`, hintFor(output) ?? 'The last lines of its output follow.', output, error);
}
