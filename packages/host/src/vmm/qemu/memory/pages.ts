import { closeSync, constants, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { VmmError } from '../../vmm-error.ts';
import { memoryMappings } from './mappings.ts';

/**
 * The pages that a guest has written since it began, in a file. What it has not written is in the file that its memory is mapped
 * from. Synchronous: it runs in a thread of its own (worker.ts).
 *
 * The file: the pages one after the other; then the runs, two little-endian 32-bit numbers each (number of the first page, count;
 * bit 31 of the count: pages of zeros, which take no room); then the footer (magic, number of runs, pages in the file).
 */
const magic = 0x43_49_54_42;
const footerBytes = 12;
const pageBytes = 4096;
const zeroRun = 0x8000_0000;
/** Copied at once. */
const chunkPages = 256;
/** Entries of the page map (proc_pid_pagemap: 8 bytes a page) looked at once. */
const mapPages = 128 * 1024;

const zeroPage = Buffer.alloc(pageBytes);

interface Run {
  first: number;
  count: number;
  zero: boolean;
}

/** Writes the pages of a paused VM that are its own. On the disk when it returns. @returns bytes written */
export function savePages(pid: number, base: string, target: string): number {
  using stack = new DisposableStack();
  const file = opened(stack, target, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC);
  const memory = opened(stack, `/proc/${pid}/mem`, constants.O_RDONLY);
  const pagemap = opened(stack, `/proc/${pid}/pagemap`, constants.O_RDONLY);
  const emptyBase = isEmpty(base);
  const runs: Run[] = [];
  let pages = 0;
  const buffer = Buffer.allocUnsafe(chunkPages * pageBytes);

  const take = (address: number, first: number, count: number): void => {
    const data = buffer.subarray(0, count * pageBytes);
    fill(memory, data, address);
    for (let from = 0; from < count;) {
      const zero = isZero(data, from);
      let to = from + 1;
      while (to < count && isZero(data, to) === zero) to += 1;
      if (!zero) {
        writeAll(file, data.subarray(from * pageBytes, to * pageBytes), pages * pageBytes);
        pages += to - from;
      }
      if (!zero || !emptyBase) addRun(runs, first + from, to - from, zero);
      from = to;
    }
  };

  for (const { address, offset, length } of memoryMappings(pid, base)) {
    const firstPage = offset / pageBytes;
    forOwnPages(pagemap, address, length / pageBytes, (from, count) => take(address + from * pageBytes, firstPage + from, count));
  }
  const end = Buffer.alloc(runs.length * 8 + footerBytes);
  runs.forEach(({ first, count, zero }, index) => {
    end.writeUInt32LE(first, index * 8);
    end.writeUInt32LE((zero ? zeroRun : 0) + count, index * 8 + 4);
  });
  end.writeUInt32LE(magic, runs.length * 8);
  end.writeUInt32LE(runs.length, runs.length * 8 + 4);
  end.writeUInt32LE(pages, runs.length * 8 + 8);
  writeAll(file, end, pages * pageBytes);
  fdatasyncSync(file);
  return pages * pageBytes + end.length;
}

/** Puts saved pages into the memory of a VM whose CPUs have not run yet. @throws VmmError when the file is damaged */
export function loadPages(source: string, pid: number, base: string): void {
  using stack = new DisposableStack();
  const file = opened(stack, source, constants.O_RDONLY);
  const runs = readRuns(file, source);
  const memory = opened(stack, `/proc/${pid}/mem`, constants.O_WRONLY);
  const mappings = memoryMappings(pid, base);
  copyRuns(file, runs, (data, page) => {
    const at = page * pageBytes;
    const within = mappings.find(({ offset, length }) => at >= offset && at + data.length <= offset + length);
    if (within === undefined) throw damaged(source);
    writeAll(memory, data, within.address + at - within.offset);
  });
}

/** Writes saved pages of a VM that began empty to where they belong in a file, which can then be the memory of many. */
export function spreadPages(source: string, target: string): void {
  using stack = new DisposableStack();
  const file = opened(stack, source, constants.O_RDONLY);
  const to = opened(stack, target, constants.O_WRONLY);
  const { size } = fstatSync(to);
  copyRuns(file, readRuns(file, source), (data, page) => {
    if (page * pageBytes + data.length > size) throw damaged(source);
    writeAll(to, data, page * pageBytes);
  });
  fdatasyncSync(to);
}

/** @throws VmmError unless the file is complete */
export function checkPages(source: string): void {
  using stack = new DisposableStack();
  readRuns(opened(stack, source, constants.O_RDONLY), source);
}

/** Runs of pages that are not those of the file: present (bit 63) or swapped (62), and not the file's (61). */
function forOwnPages(pagemap: number, address: number, pages: number, take: (from: number, count: number) => void): void {
  const entries = Buffer.allocUnsafe(Math.min(pages, mapPages) * 8);
  for (let at = 0; at < pages; at += mapPages) {
    const part = entries.subarray(0, Math.min(mapPages, pages - at) * 8);
    fill(pagemap, part, (address / pageBytes + at) * 8);
    const count = part.length / 8;
    for (let from = 0; from < count; from += 1) {
      if (!isOwn(part, from)) continue;
      let to = from + 1;
      while (to < count && to - from < chunkPages && isOwn(part, to)) to += 1;
      take(at + from, to - from);
      from = to - 1;
    }
  }
}

function isOwn(entries: Buffer, index: number): boolean {
  const bits = entries[index * 8 + 7] ?? 0;
  return (bits & 0b1100_0000) !== 0 && (bits & 0b0010_0000) === 0;
}

function readRuns(file: number, name: string): Run[] {
  const { size } = fstatSync(file);
  const footer = Buffer.alloc(footerBytes);
  if (size < footerBytes) throw damaged(name);
  fill(file, footer, size - footerBytes);
  const [mark, count, pages] = [footer.readUInt32LE(0), footer.readUInt32LE(4), footer.readUInt32LE(8)];
  if (mark !== magic || size !== pages * pageBytes + count * 8 + footerBytes) throw damaged(name);
  const data = Buffer.alloc(count * 8);
  fill(file, data, pages * pageBytes);
  return Array.from({ length: count }, (_, index) => {
    const value = data.readUInt32LE(index * 8 + 4);
    return { first: data.readUInt32LE(index * 8), count: value % zeroRun, zero: value >= zeroRun };
  });
}

function copyRuns(file: number, runs: readonly Run[], put: (data: Buffer, page: number) => void): void {
  const buffer = Buffer.allocUnsafe(chunkPages * pageBytes);
  const zeros = Buffer.alloc(chunkPages * pageBytes);
  let position = 0;
  for (const { first, count, zero } of runs) {
    for (let done = 0; done < count; done += chunkPages) {
      const bytes = Math.min(chunkPages, count - done) * pageBytes;
      if (zero) {
        put(zeros.subarray(0, bytes), first + done);
        continue;
      }
      fill(file, buffer.subarray(0, bytes), position);
      put(buffer.subarray(0, bytes), first + done);
      position += bytes;
    }
  }
}

function addRun(runs: Run[], first: number, count: number, zero: boolean): void {
  const last = runs.at(-1);
  if (last !== undefined && last.zero === zero && last.first + last.count === first) last.count += count;
  else runs.push({ first, count, zero });
}

function isZero(data: Buffer, page: number): boolean {
  return zeroPage.compare(data, page * pageBytes, (page + 1) * pageBytes) === 0;
}

/** A file of holes only. */
function isEmpty(path: string): boolean {
  using stack = new DisposableStack();
  return fstatSync(opened(stack, path, constants.O_RDONLY)).blocks === 0;
}

function opened(stack: DisposableStack, path: string, flags: number): number {
  const file = openSync(path, flags, 0o600);
  stack.defer(() => closeSync(file));
  return file;
}

function fill(file: number, into: Buffer, position: number): void {
  for (let done = 0; done < into.length;) {
    const read = readSync(file, into, done, into.length - done, position + done);
    if (read === 0) throw new VmmError('the memory ends before its end');
    done += read;
  }
}

function writeAll(file: number, data: Buffer, position: number): void {
  for (let done = 0; done < data.length;) done += writeSync(file, data, done, data.length - done, position + done);
}

function damaged(name: string): VmmError {
  return new VmmError(`the memory in ${name} is damaged`);
}
