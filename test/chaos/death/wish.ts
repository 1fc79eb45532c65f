/**
 * When a daemon is to kill itself with -9: before the n-th step from now on, or before the next one that has one of these names, where
 * `A > B` is a B right after an A.
 */
export type Wish = { readonly in: number } | { readonly before: readonly string[] };

/** Sent to a daemon by its parent; null takes it back, to which it answers {@link calm}. */
export interface WishMessage {
  readonly die: Wish | null;
}

/** It has no wish to die any more. */
export const calm = 'calm';

/** The environment variable with which a daemon begins with a wish, in JSON. */
export const wishVariable = 'CHAOS_DIE';

/** What a daemon says of its steps, a line each: the first of each name, and the one it dies before. */
export const said = { passes: 'passes: ', diesBefore: 'dies before: ' } as const;
