import { z } from 'zod';
import { envVars } from './classic.ts';
import { boxId, userId } from './ids.ts';
import { labels } from './labels.ts';
import { sizes } from './limits.ts';

/** Media type of an exported box: a tar, see `exportManifest`. */
export const exportMediaType = 'application/vnd.citb.box+tar';

/** Id of a prepared export, made by the host (`exp_…`). */
export const exportId = z
  .string()
  .regex(/^exp_[a-z0-9]{12}$/, 'must be an id that an export was given')
  .meta({ description: 'Id of an export.', example: 'exp_k3v9x2m1qf7c' });

export const boxExport = z
  .object({
    id: exportId,
    box_id: boxId,
    size_bytes: z.int().nonnegative(),
    sha256: z.string().meta({ description: 'Of the whole file, hexadecimal.' }),
    created: z.iso.datetime(),
    expires: z.iso.datetime().meta({ description: 'Removed by the host then.' }),
  })
  .meta({ id: 'BoxExport' });
export type BoxExport = z.infer<typeof boxExport>;

/** Id of an import under way, made by the host (`imp_…`). */
export const importId = z
  .string()
  .regex(/^imp_[a-z0-9]{12}$/, 'must be an id that an import was given')
  .meta({ description: 'Id of an import.', example: 'imp_k3v9x2m1qf7c' });

export const boxImport = z
  .object({
    id: importId,
    offset: z.int().nonnegative().meta({ description: 'Bytes that the host has: the next ones begin here.' }),
    expires: z.iso.datetime().meta({ description: 'Removed by the host then; each byte puts it off.' }),
  })
  .meta({ id: 'BoxImport' });
export type BoxImport = z.infer<typeof boxImport>;

export const appendQuery = z.object({
  offset: z.coerce.number().int().nonnegative().meta({ description: 'Where in the file the body begins: the offset that the host has.' }),
});

export const importFinish = z
  .object({
    id: boxId.optional().meta({ description: 'Id of the new box. Default: the host makes one.' }),
    user_id: userId.optional().meta({ description: 'Whose box it is. Default: nobody’s.' }),
    env_vars: envVars.optional().meta({
      description:
        'Environment of the box, which an export does not hold. ANTHROPIC_API_KEY stays on the host and is used for its model requests.',
    }),
  })
  .meta({ id: 'ImportFinish' });
export type ImportFinish = z.input<typeof importFinish>;

export const importQuery = z.object({
  id: boxId.optional().meta({ description: 'Id of the new box. Default: the host makes one.' }),
  user_id: userId.optional().meta({ description: 'Whose box it is. Default: nobody’s.' }),
});

/** Version of the format that this program writes; it reads this one and older ones. */
export const exportVersion = 1;

/** The first bytes of understanding: read before anything else of a manifest is trusted. */
export const exportHeader = z.object({ format: z.literal('citb-box'), version: z.int().positive() });

/**
 * An exported box: a tar (POSIX, no links, no folders) with these entries in this order, all of them small enough to be held in memory.
 * - `manifest.json`: {@link exportManifest}
 * - `tasks/<n>.ndjson.zst`: a task a line, as the API gives it
 * - `events/<n>.ndjson.zst`: `{"task": id, "event": …}` a line, in order
 * - `disk/<offset>-<size>-<sha256>.zst`: the bytes of the disk from an offset on (decimal, 15 digits), and the hash of them; what has
 *   no entry is zeros. Ascending, none overlap
 * - `end.json`: {@link exportEnd}; without it the file is not whole
 * `.zst` is one zstd frame.
 */
export const exportManifest = z.object({
  ...exportHeader.shape,
  created: z.iso.datetime(),
  box: z.object({
    id: boxId,
    user_id: z.string().nullable(),
    runtime: z.string().min(1).max(100),
    agent: z.boolean(),
    labels,
    disk_mib: z.int().min(sizes.diskMib.min).max(sizes.diskMib.max),
    memory_mib: z.int().min(sizes.memoryMib.min).max(sizes.memoryMib.max),
    cpus: z.int().min(sizes.cpus.min).max(sizes.cpus.max),
    created: z.iso.datetime(),
  }),
  /** Image that the disk was used with; for people. */
  image_key: z.string().max(200),
  disk: z.object({ size_bytes: z.int().positive() }),
});
export type ExportManifest = z.infer<typeof exportManifest>;

/** `sha256`: over name, "\0" and the raw SHA-256 of the content of every entry before it. */
export const exportEnd = z.object({ entries: z.int().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/) });

/** Bytes of the disk in one entry at most, and of any entry. */
export const exportBounds = { chunkBytes: 4 * 1024 * 1024, entryBytes: 16 * 1024 * 1024 } as const;
