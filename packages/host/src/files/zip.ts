import { PassThrough, type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { workspacePath } from '@citb/api';
import { Parser, type ReadEntry } from 'tar';
import { ZipFile } from 'yazl';

/** A zip names all its entries once more at its end, so they are kept in memory until then. */
const maxEntries = 200_000;
/** Longest extended header of a tar entry (a name or a link's target), in bytes. */
const maxMetaBytes = 64 * 1024;
/** What a zip's dates can say. */
const dates = { first: Date.UTC(1980, 0, 2), last: Date.UTC(2107, 11, 30) };

/**
 * The same folder as a zip, made while the tar comes in; nothing is stored. Links are links (as Info-ZIP has them). The tar is a
 * hostile guest's: names that lead out of the folder are left out, what is not a tar makes the stream fail.
 */
export function zipOfTar(tar: Readable): Readable {
  const zip = new ZipFile();
  const out = new PassThrough();
  // It may fail before its reader listens, or when that one has left.
  out.on('error', () => undefined);
  let entries = 0;
  const fail = (error: unknown): void => void out.destroy(error instanceof Error ? error : new Error(String(error)));
  const parser = new Parser({
    strict: true,
    maxMetaEntrySize: maxMetaBytes,
    onReadEntry: (entry) => {
      entries += 1;
      try {
        if (entries > maxEntries) throw new Error(`the folder has more than ${maxEntries} entries`);
        addEntry(zip, entry);
      } catch (error) {
        entry.resume();
        fail(error);
      }
    },
  });
  let empty = false;
  // The parser takes a tar without entries for a mistake.
  parser.on('error', (error: unknown) => (empty && entries === 0 ? zip.end() : fail(error)));
  parser.on('end', () => zip.end());
  zip.on('error', fail);
  // The zip's own stream is a PassThrough; this pipeline ends all of them together, whoever is first.
  pipeline(zip.outputStream, out).catch(() => tar.destroy());
  const checked = onlyTar(() => (empty = true));
  pipeline(tar, checked, parser).catch((error: unknown) => {
    if (!empty) fail(error);
  });
  return out;
}

const blockBytes = 512;

/** The parser would unpack a compressed tar by itself: a guest must not make the host do that work. So it gets only what begins like a tar. */
function onlyTar(isEmpty: () => void): Transform {
  let first: Buffer | undefined = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (first === undefined) return done(null, chunk);
      first = Buffer.concat([first, chunk]);
      if (first.length < blockBytes) return done();
      const start = first;
      first = undefined;
      // POSIX: "ustar" at 257; an empty archive is zeros.
      const zeros = start.subarray(0, blockBytes).every((byte) => byte === 0);
      if (zeros) isEmpty();
      done(zeros || start.toString('latin1', 257, 262) === 'ustar' ? null : new Error('the box sent something that is not a tar'), start);
    },
    flush: (done) => done(first === undefined ? null : new Error('the box sent something that is not a tar')),
  });
}

function addEntry(zip: ZipFile, entry: ReadEntry): void {
  const name = workspacePath.safeParse(entry.path);
  if (!name.success || name.data.includes('\\')) {
    entry.resume();
    return;
  }
  const options = { mtime: dateOf(entry), mode: entry.mode ?? 0o644 };
  if (entry.type === 'Directory') {
    zip.addEmptyDirectory(name.data, { ...options, mode: 0o40000 | (options.mode & 0o777) });
    entry.resume();
  } else if (entry.type === 'SymbolicLink') {
    zip.addBuffer(Buffer.from(entry.linkpath ?? ''), name.data, { ...options, mode: 0o120777, compress: false });
    entry.resume();
  } else if (entry.type === 'File' || entry.type === 'OldFile') {
    const mode = 0o100000 | (options.mode & 0o777);
    zip.addReadStream(entry as unknown as NodeJS.ReadableStream, name.data, { ...options, mode, size: entry.size });
  } else entry.resume();
}

function dateOf({ mtime }: ReadEntry): Date {
  const ms = mtime?.getTime() ?? Number.NaN;
  return new Date(Number.isNaN(ms) ? dates.first : Math.min(Math.max(ms, dates.first), dates.last));
}
