/** When a daemon is to kill itself with -9; one does not take back the other. */
export interface Wish {
  /** Before the n-th step from now on. */
  readonly in?: number;
  /** Before the next step that has one of these names, where `A > B` is a B right after an A. */
  readonly before?: readonly string[];
}

/** Sent to a daemon by its parent, besides what it wishes already; null takes all back, to which it answers {@link calm}. */
export interface WishMessage {
  readonly die: Wish | null;
}

/** It has no wish to die any more. */
export const calm = 'calm';

/** The environment variable with which a daemon begins with a wish, in JSON. */
export const wishVariable = 'CHAOS_DIE';

/** What a daemon says of its steps, a line each: the first of each name, and the one it dies before. */
export const said = { passes: 'passes: ', diesBefore: 'dies before: ' } as const;
