import { z } from 'zod';
import { boxId, userId } from './ids.ts';

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

export const importQuery = z.object({
  id: boxId.optional().meta({ description: 'Id of the new box. Default: the host makes one.' }),
  user_id: userId.optional().meta({ description: 'Whose box it is. Default: nobody’s.' }),
});
