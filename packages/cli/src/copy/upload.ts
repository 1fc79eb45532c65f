import { type Stats, createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import type { Files } from '@citb/sdk';
import { create } from 'tar';
import type { Cli } from '../cli.ts';
import { UsageError } from '../exit.ts';
import type { Place } from '../place.ts';
import { type Copied, Counted } from './counted.ts';
import { remoteKind } from './remote.ts';

/** Copies a local file, a folder or stdin into a box. */
export async function upload(
  cli: Cli,
  files: Files,
  from: Exclude<Place, { kind: 'box' }>,
  to: Extract<Place, { kind: 'box' }>,
): Promise<Copied> {
  if (from.kind === 'stream') {
    if (to.asFolder) throw new UsageError('What comes from stdin needs a name.', 'Write it as BOX:PATH, for example ada:data.csv.');
    return sendFile(cli, files, to.path, cli.stdin);
  }
  const path = resolve(from.path);
  const found = await localStats(from.path);
  const inside = to.asFolder || (await remoteKind(files, to.path)) === 'folder';
  const target = inside ? [to.path, basename(path)].filter((part) => part !== '').join('/') : to.path;
  if (found.isDirectory()) return sendFolder(cli, files, path, target);
  if (!found.isFile()) throw new UsageError(`${from.path} is neither a file nor a folder.`, 'Only files and folders are copied.');
  const mode = (found.mode & 0o777).toString(8).padStart(3, '0');
  return sendFile(cli, files, target, createReadStream(path), { size: found.size, mode });
}

async function sendFile(
  cli: Cli,
  files: Files,
  path: string,
  content: Readable,
  known: { readonly size?: number; readonly mode?: string } = {},
): Promise<Copied> {
  using counted = new Counted(cli, path, known.size);
  content.once('error', (error) => counted.destroy(error));
  await files.upload(path, content.pipe(counted), known);
  return { what: path, bytes: counted.count };
}

async function sendFolder(cli: Cli, files: Files, folder: string, target: string): Promise<Copied> {
  using counted = new Counted(cli, target);
  await files.makeFolder(target);
  // `portable` leaves out our user names and times of access; links stay links.
  const pack = create({ cwd: folder, portable: true }, ['.']);
  pack.on('error', (error) => counted.destroy(error as Error));
  pack.pipe(counted);
  const count = await files.unpack(target, counted);
  return { what: `${target} (${count} files)`, bytes: counted.count };
}

async function localStats(path: string): Promise<Stats> {
  try {
    return await stat(path);
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${(error as Error).message}`, `Look at ${dirname(resolve(path))}.`);
  }
}
