import { type NewTaskEvent, limits } from '@citb/api';

/** Longest strings kept of a structured tool result: it mostly repeats what the result says. */
const resultStringUnits = 32 * 1024;

/**
 * An event of at most `maxBytes` of JSON (less a margin for seq and time). What is too long is cut, and says so where it is cut.
 */
export function capEvent<T extends NewTaskEvent>(event: T, maxBytes: number = limits.eventBytes): T {
  const slim = event.type === 'tool_result' ? { ...event, content: slimResult(event.content) } : event;
  const room = maxBytes - 512;
  if (size(slim) <= room) return slim;
  for (let units = room >> 2; units >= 64; units >>= 2) {
    const shorter = { ...slim, content: shorten(slim.content, units, Math.max(16, units >> 4)) } as T;
    if (size(shorter) <= room) return shorter;
  }
  return { ...slim, content: emptied(slim) };
}

function slimResult<T extends { readonly result?: unknown }>(content: T): T {
  return content.result === undefined ? content : { ...content, result: shorten(content.result, resultStringUnits, 1000) };
}

function size(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

/** Cuts every string and list inside a value. */
function shorten(value: unknown, units: number, entries: number): unknown {
  if (typeof value === 'string')
    return value.length <= units ? value : `${value.slice(0, units).toWellFormed()}… [cut: ${value.length} characters in all]`;
  if (Array.isArray(value)) {
    const kept: unknown[] = value.slice(0, entries).map((each) => shorten(each, units, entries));
    return value.length <= entries ? kept : [...kept, `… [cut: ${value.length} entries in all]`];
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, entries)
      .map(([key, each]) => [key, shorten(each, units, entries)]),
  );
}

/** What is left of an event that is too large even when cut: deep or very wide values. */
function emptied(event: NewTaskEvent): unknown {
  const note = '[cut: too large]';
  if (event.type === 'tool_use') return { id: event.content.id, name: event.content.name, input: { cut: note } };
  if (event.type === 'tool_result') return { tool_use_id: event.content.tool_use_id, content: note, is_error: event.content.is_error };
  return typeof event.content === 'string' ? note : Object.fromEntries(Object.keys(event.content).map((key) => [key, note]));
}
