import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Files } from '@citb/sdk';
import type { Cli } from '../cli.ts';
import { UsageError } from '../exit.ts';
import type { Place } from '../place.ts';
import { type Copied, Counted } from './counted.ts';
import { remoteKind } from './remote.ts';
import { unpackInto } from './unpack.ts';

/** Copies a file or folder of a box here, or a file to stdout. A folder to stdout is a tar. */
export async function download(
  cli: Cli,
  files: Files,
  from: Extract<Place, { kind: 'box' }>,
  to: Exclude<Place, { kind: 'box' }>,
): Promise<Copied> {
  const folder = (await remoteKind(files, from.path)) === 'folder';
  if (to.kind === 'stream') return toStdout(cli, files, from.path, folder);
  const name = from.path === '' ? `${from.box.replace(/^user:/, '')}-workspace` : basename(from.path);
  if (name.includes('/') || name === '..') throw new UsageError('This has no usable name here.', 'Give the local name as well.');
  const inside = to.path.endsWith('/') || (await isFolder(to.path));
  const target = resolve(inside ? join(to.path, name) : to.path);
  return folder ? receiveFolder(cli, files, from.path, target) : receiveFile(cli, files, from.path, target);
}

async function toStdout(cli: Cli, files: Files, path: string, folder: boolean): Promise<Copied> {
  if (folder && cli.stdout.isTTY)
    throw new UsageError('A folder comes as a tar, and this is a terminal.', 'Pipe it: citb cp BOX:PATH - | tar -x');
  const { body, size } = folder ? { body: await files.archive(path), size: undefined } : await files.download(path);
  using counted = new Counted(cli, path, size);
  await pipeline(body, counted, cli.stdout, { end: false });
  return { what: path, bytes: counted.count };
}

/** Under another name first: a copy that breaks off leaves what was there before. */
async function receiveFile(cli: Cli, files: Files, path: string, target: string): Promise<Copied> {
  const { body, size } = await files.download(path);
  using counted = new Counted(cli, path, size);
  const half = `${target}.${process.pid}.part`;
  try {
    await mkdir(dirname(target), { recursive: true });
    await pipeline(body, counted, createWriteStream(half));
    await rename(half, target);
  } catch (error) {
    await rm(half, { force: true });
    throw error;
  }
  return { what: path, bytes: counted.count };
}

async function receiveFolder(cli: Cli, files: Files, path: string, target: string): Promise<Copied> {
  await mkdir(target, { recursive: true });
  using counted = new Counted(cli, path === '' ? 'workspace' : path);
  const { files: count, skipped } = await unpackInto(target, await files.archive(path), counted);
  for (const each of skipped) cli.note(`Left out: ${each}`);
  return { what: `${path === '' ? 'workspace' : path} (${count} files)`, bytes: counted.count };
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
