import { z } from 'zod';
import { limits } from './limits.ts';

/** A caller's own words about a box: stored, listed by, never interpreted. */
export const labels = z
  .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$/), z.string().max(256))
  .refine((all) => Object.keys(all).length <= limits.labels, `at most ${limits.labels} labels`);
