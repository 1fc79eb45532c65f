import { x } from 'tinyexec';

/** Bytes `start` up to but without `end`. */
export interface UsedRange {
  readonly start: number;
  readonly end: number;
}

const unit = 4096;
const programMs = 60_000;

/**
 * Where a sparse file may hold anything but zeros, ascending: by its extents, so that the holes of a large disk are not read.
 * Where the file system cannot tell, all of it.
 */
export async function usedRanges(path: string, size: number): Promise<UsedRange[]> {
  const told = await x('filefrag', ['-s', '-v', `-b${unit}`, path], {
    signal: AbortSignal.timeout(programMs),
    nodeOptions: { env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' } },
  }).then(
    (result) => (result.exitCode === 0 ? result.stdout : undefined),
    () => undefined,
  );
  if (told === undefined || !/extents? found/.test(told)) return [{ start: 0, end: size }];
  // "   0:        0..      15:     34816..     34831:     16:             last,eof"
  return [...told.matchAll(/^\s*\d+:\s*(\d+)\.\.\s*(\d+):/gm)]
    .map(([, first, last]) => ({ start: Number(first) * unit, end: Math.min(size, (Number(last) + 1) * unit) }))
    .filter(({ start, end }) => start < end)
    .toSorted((one, other) => one.start - other.start);
}

/** The pieces of at most `chunkBytes` that cover the ranges: each begins on a multiple of it, none comes twice. */
export function* chunksOf(ranges: Iterable<UsedRange>, chunkBytes: number, size: number): Generator<UsedRange> {
  let next = 0;
  for (const { start, end } of ranges) {
    for (let at = Math.max(next, start - (start % chunkBytes)); at < end; at += chunkBytes) {
      next = at + chunkBytes;
      yield { start: at, end: Math.min(next, size) };
    }
  }
}
