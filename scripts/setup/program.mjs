import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/** Where programs are looked for: a normal user's PATH often lacks the sbin folders. */
const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];

/** True when a program of this name can be run. */
export function hasProgram(name) {
  return folders.some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Runs a program quietly; answers its exit code and what it wrote. */
export async function quietly(program, args, options = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (output += piece));
  try {
    const [code] = await once(child, 'close');
    return { code: code ?? 1, output: output.trim() };
  } catch (error) {
    return { code: 127, output: String(error) };
  }
}

/** The last lines of an output, indented. */
export function tail(output, lines = 10) {
  return output
    .split('\n')
    .slice(-lines)
    .map((line) => `  | ${line}`)
    .join('\n');
}
