import { Transform } from 'node:stream';

/** Tokens of one model request, as its answer states them. */
export interface TokenUsage {
  inputTokens: number;
  outputTokens: number;
  cacheReadTokens: number;
  cacheCreationTokens: number;
}

/** A line of the stream that is longer is not one of those that carry usage. */
const maxLine = 64 * 1024;

/**
 * Passes a stream of events on unchanged and unbuffered, and reads the token counts out of `message_start` and
 * `message_delta`. It looks into no other line.
 */
export function usageMeter(): { stream: Transform; usage: TokenUsage } {
  const usage: TokenUsage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheCreationTokens: 0 };
  let rest = '';
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const lines = (rest + chunk.toString('latin1')).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > maxLine) rest = '';
      for (const line of lines) if (isCarrier(line)) count(usage, line);
      done(null, chunk);
    },
  });
  return { stream, usage };
}

function isCarrier(line: string): boolean {
  return line.startsWith('data:') && line.includes('"usage"') && (line.includes('"message_start"') || line.includes('"message_delta"'));
}

function count(usage: TokenUsage, line: string): void {
  let event: { usage?: Record<string, unknown>; message?: { usage?: Record<string, unknown> } };
  try {
    event = JSON.parse(line.slice('data:'.length)) as typeof event;
  } catch {
    return;
  }
  const stated = event.usage ?? event.message?.usage ?? {};
  // message_delta's counts are totals of the message: the larger one of the two events holds.
  usage.inputTokens = larger(usage.inputTokens, stated['input_tokens']);
  usage.outputTokens = larger(usage.outputTokens, stated['output_tokens']);
  usage.cacheReadTokens = larger(usage.cacheReadTokens, stated['cache_read_input_tokens']);
  usage.cacheCreationTokens = larger(usage.cacheCreationTokens, stated['cache_creation_input_tokens']);
}

function larger(known: number, stated: unknown): number {
  return typeof stated === 'number' && Number.isSafeInteger(stated) && stated > known ? stated : known;
}
