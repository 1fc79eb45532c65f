/**
 * How a tree becomes a drive: erofs, not compressed. In an emulated guest unpacking costs more than reading
 * (docs/decisions/001-image-format.md). The device is read on demand, so that its size costs only the host's disk.
 * The UUID is fixed: nothing looks for it, and a random one would change the bytes of equal builds.
 */
export const makeFileSystem = (source: string, target: string): string =>
  `mkfs.erofs -U 00000000-0000-0000-0000-000000000000 --quiet "${target}" "${source}"`;
