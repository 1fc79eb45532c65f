import type { Turn } from './history.ts';
import type { Block, StopReason, Usage } from './wire.ts';

/** How an answer is sent: all at once unless told. */
export interface Delivery {
  /** Deltas per block; 4 unless told. */
  readonly pieces?: number;
  /** Pause between two deltas, in ms. */
  readonly gapMs?: number;
  /** Pause before the response headers, in ms. */
  readonly delayMs?: number;
  /** The socket is cut after so many events. */
  readonly cutAfterEvents?: number;
  /** An SSE `error` event comes after so many events. */
  readonly errorAfterEvents?: number;
  /** Nothing is sent before `release(name)`. */
  readonly waitFor?: string;
  /** The stream stops after so many events until `release(waitFor)`; without it the wait is before the headers. */
  readonly waitAfterEvents?: number;
}

/** What the model does in one step. */
export type Reply =
  | {
      readonly kind: 'message';
      readonly blocks: readonly Block[];
      readonly stopReason?: StopReason;
      readonly usage?: Partial<Usage>;
      readonly delivery?: Delivery;
    }
  | {
      readonly kind: 'error';
      readonly status: number;
      readonly type: string;
      readonly message: string;
      readonly headers: Record<string, string>;
    }
  | { readonly kind: 'cut' };

/** Arguments of the marker `[[scenario:name key=value key="two words"]]`. */
export type Arguments = Readonly<Record<string, string>>;

/** A named behaviour: a pure function of where the conversation is. */
export type Scenario = (turn: Turn, args: Arguments) => Reply;

export interface Marker {
  readonly name: string;
  readonly args: Arguments;
}

const marker = /\[\[scenario:([a-z0-9_-]+)((?:\s+[a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s\]]+))*)\s*\]\]/i;
const argument = /([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s\]]+))/gi;

/** The marker of a prompt, if it has one. Quoted values may hold `\n`, `\"` and `\\`. */
export function readMarker(prompt: string): Marker | undefined {
  const found = marker.exec(prompt);
  if (found === null) return undefined;
  const args: Record<string, string> = {};
  for (const [, key, quoted, bare] of (found[2] ?? '').matchAll(argument))
    args[key ?? ''] = quoted === undefined ? (bare ?? '') : quoted.replaceAll(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char));
  return { name: found[1] ?? '', args };
}

/** Writes a marker that {@link readMarker} reads back. */
export function scenario(name: string, args: Record<string, string | number> = {}): string {
  const parts = Object.entries(args).map(
    ([key, value]) => `${key}="${String(value).replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`,
  );
  return `[[${[`scenario:${name}`, ...parts].join(' ')}]]`;
}

/** A message of one text. */
export function say(text: string, delivery: Delivery = {}): Reply {
  return { kind: 'message', blocks: [{ type: 'text', text }], delivery };
}

/** A message of a sentence and one tool call. */
export function call(name: string, input: Record<string, unknown>, text = ''): Reply {
  const blocks: Block[] = text === '' ? [] : [{ type: 'text', text }];
  return { kind: 'message', blocks: [...blocks, { type: 'tool_use', name, input }], stopReason: 'tool_use' };
}

/** A number among the arguments. */
export function numberOf(args: Arguments, name: string, otherwise: number): number {
  const value = Number(args[name]);
  return args[name] === undefined || !Number.isFinite(value) ? otherwise : value;
}
