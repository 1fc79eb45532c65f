import { limits, taskEvent, type NewTaskEvent } from '@citb/api';
import { parseJson } from '../guest/errors.ts';

/** An event as the guest's journal has it, checked. */
export interface GuestEvent {
  readonly guestSeq: number;
  readonly event: NewTaskEvent;
}

/** Longest line of the guest's event stream in bytes: one event, with room for its frame. */
export const maxEventLine = limits.eventBytes + 64 * 1024;

/** Deepest nesting of an event. Tools' inputs are a few levels; thousands would overflow the stack of whoever writes JSON later. */
const maxDepth = 100;

/**
 * One line of the guest's event stream; undefined when it is not an event of the contract. Its number is kept apart and its
 * time is left out: both are given anew on the host.
 */
export function parseGuestEvent(line: string): GuestEvent | undefined {
  const value = parseJson(line);
  if (!isShallow(value)) return undefined;
  const parsed = taskEvent.safeParse(value);
  if (!parsed.success) return undefined;
  const { seq, ts: _, ...event } = parsed.data;
  return { guestSeq: seq, event };
}

function isShallow(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > maxDepth) return false;
    level = level.flatMap((each) => (typeof each === 'object' && each !== null ? Object.values(each) : []));
  }
  return true;
}
