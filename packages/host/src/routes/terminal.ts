import { ApiError, type TerminalControl, limits, terminalClose, terminalControl } from '@citb/api';
import type { Logger } from '@citb/daemon';
import type { RawData, WebSocket } from 'ws';
import type { Terminal } from '../services.ts';
import type { StreamSettings } from './stream.ts';

/** Why a connection was closed (RFC 6455 section 7.4.1, and 1013 of IANA's registry). */
const closeCodes = { ended: 1000, stopping: 1001, invalid: 1007, failed: 1011, slow: 1013 } as const;

/**
 * Joins a WebSocket with a terminal until one of them ends. Both directions are bounded: nothing is read from the side whose
 * other side does not keep up.
 * @param left aborted when the client has gone; also ends what waits for the terminal
 */
export function serveTerminal(client: WebSocket, terminal: Terminal, settings: StreamSettings, left: AbortController, log: Logger): void {
  const close = (code: number, reason: string): void => {
    client.close(code, reason);
    left.abort();
  };
  const stop = (): void => close(closeCodes.stopping, 'the host is stopping');
  settings.stopping.addEventListener('abort', stop, { once: true });
  const alive = keepAlive(client, settings.heartbeatMs);
  client.on('error', () => client.terminate());
  client.once('close', () => {
    clearInterval(alive);
    settings.stopping.removeEventListener('abort', stop);
    left.abort();
  });

  const input = inputOf(terminal, client, close);
  client.on('message', (data, isBinary) => input(data, isBinary));

  // Nobody waits for it when the output fails first.
  terminal.exitCode.catch(() => undefined);
  sendControl(client, { type: 'start', pid: terminal.pid });
  void pump(client, terminal, settings.stallMs, left.signal).then(({ code, reason, error }) => {
    if (error !== undefined) log.info({ err: error }, 'terminal failed');
    return close(code, reason);
  });
}

/** Sends what the terminal writes, then how its program ended; resolves with how the connection is to be closed. */
async function pump(
  client: WebSocket,
  terminal: Terminal,
  stallMs: number,
  signal: AbortSignal,
): Promise<{ code: number; reason: string; error?: unknown }> {
  try {
    if (!(await sendOutput(client, terminal, stallMs))) return { code: closeCodes.slow, reason: 'the client does not read' };
    sendControl(client, { type: 'exit', exit_code: await terminal.exitCode });
    return { code: closeCodes.ended, reason: 'the program ended' };
  } catch (error) {
    if (signal.aborted) return { code: closeCodes.ended, reason: 'the client left' };
    return asleep(error) ?? { code: closeCodes.failed, reason: 'the box does not answer', error };
  }
}

/** How a terminal is closed whose box was put to sleep: a client that joined again would wake it. */
function asleep(error: unknown): { code: number; reason: string } | undefined {
  const code = error instanceof ApiError ? error.code : undefined;
  if (code === 'box_paused') return { code: terminalClose.paused, reason: 'the box was paused; its programs go on when it wakes' };
  if (code === 'box_stopped') return { code: terminalClose.stopped, reason: 'the box was stopped; its programs have ended' };
  return undefined;
}

/** Frames of the client, in order, one after the other. */
function inputOf(terminal: Terminal, client: WebSocket, close: (code: number, reason: string) => void) {
  let last: Promise<void> = Promise.resolve();
  let waiting = 0;
  const take = (item: Buffer | { cols: number; rows: number }): Promise<void> =>
    Buffer.isBuffer(item) ? terminal.write(item) : terminal.resize(item.cols, item.rows);
  return (data: RawData, isBinary: boolean): void => {
    const bytes = toBuffer(data);
    const control = isBinary ? undefined : parseControl(bytes);
    if (control === null) return close(closeCodes.invalid, 'a text frame must be {"type":"resize","cols","rows"}');
    waiting += bytes.byteLength;
    if (waiting > limits.frameBytes) client.pause();
    last = last
      .then(() => take(control ?? bytes))
      .then(() => {
        waiting -= bytes.byteLength;
        if (client.isPaused && waiting <= limits.frameBytes) client.resume();
        return undefined;
      });
    last.catch((error: unknown) => {
      const { code, reason } = asleep(error) ?? { code: closeCodes.failed, reason: 'the terminal takes no input' };
      close(code, reason);
    });
  };
}

function parseControl(bytes: Buffer): { cols: number; rows: number } | null {
  try {
    const parsed = terminalControl.parse(JSON.parse(bytes.toString('utf8')));
    return parsed.type === 'resize' ? parsed : null;
  } catch {
    return null;
  }
}

/** False when the client takes nothing of a full buffer for `stallMs`. */
async function sendOutput(client: WebSocket, terminal: Terminal, stallMs: number): Promise<boolean> {
  for await (const chunk of terminal.output) {
    if (client.readyState !== client.OPEN) return true;
    const sent = new Promise<void>((resolve) => {
      client.send(chunk, { binary: true }, () => resolve());
    });
    if (client.bufferedAmount > limits.clientBufferBytes && !(await within(sent, stallMs))) return false;
  }
  return true;
}

async function within(done: Promise<void>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(() => resolve(false), ms);
  try {
    return await Promise.race([done.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Pings; a client that did not answer the last one is gone. */
function keepAlive(client: WebSocket, everyMs: number): NodeJS.Timeout {
  let answered = true;
  client.on('pong', () => {
    answered = true;
  });
  return setInterval(() => {
    if (!answered) return client.terminate();
    answered = false;
    client.ping();
  }, everyMs);
}

function sendControl(client: WebSocket, message: TerminalControl): void {
  client.send(JSON.stringify(message));
}

function toBuffer(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
