import { VmmError } from './vmm-error.ts';

/** sun_path of Linux, less the closing NUL. */
const longest = 107;

/**
 * Checks the path of a unix socket before a program truncates or misreads it. QEMU and socat give commas, colons, quotes
 * and spaces a meaning of their own, so such paths are refused instead of quoted thrice.
 * @throws VmmError
 */
export function socketPath(path: string): string {
  const bytes = Buffer.byteLength(path);
  if (bytes > longest) {
    throw new VmmError(`the path of a socket may have ${longest} bytes, ${path} has ${bytes}: use a data directory with a shorter path`);
  }
  if (!/^\/[A-Za-z0-9._+@/-]*$/.test(path)) {
    throw new VmmError(`the path ${path} may only hold letters, digits and . _ + @ - /: use another data directory`);
  }
  return path;
}
