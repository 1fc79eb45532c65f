import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { type Connection, brokenConnection, startWithinMs } from './connection.ts';
import { errorFromAnswer } from './errors.ts';

const pingEachMs = 10_000;
/** A screen, a paste; more in one frame is not ours. */
const frameBytes = 4 * 1024 * 1024;
const errorAnswerBytes = 64 * 1024;

/**
 * An open WebSocket to the host, with its key. A connection that stays silent over a ping is ended, so that `close` comes also
 * when the other side vanished without a word.
 * @throws ApiError when the host refuses, ConnectionError when it is not reached
 */
export async function dialWebSocket(
  connection: Connection,
  url: URL,
  onMessage: (socket: WebSocket, data: Buffer, isBinary: boolean) => void,
  signal: AbortSignal | undefined,
): Promise<WebSocket> {
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(url, { headers: connection.authorization(), handshakeTimeout: startWithinMs, maxPayload: frameBytes });
  // From the beginning: the first message may come with the handshake, before whoever awaits the socket runs again.
  socket.on('message', (data, isBinary) => onMessage(socket, data as Buffer, isBinary));
  const opened = Promise.withResolvers<WebSocket>();
  socket.once('open', () => opened.resolve(socket));
  socket.once('unexpected-response', (request, answer) => {
    void readError(answer, connection.url)
      .then(opened.reject)
      .finally(() => request.destroy());
  });
  // Errors are followed by `close`; this listener also keeps them from being thrown.
  socket.on('error', (error) => opened.reject(brokenConnection(connection.url, error, signal)));
  const abort = (): void => socket.terminate();
  signal?.addEventListener('abort', abort, { once: true });
  socket.once('close', () => signal?.removeEventListener('abort', abort));
  keepAlive(socket);
  return opened.promise;
}

function keepAlive(socket: WebSocket): void {
  let answered = true;
  socket.on('pong', () => (answered = true));
  const timer = setInterval(() => {
    if (socket.readyState !== WebSocket.OPEN) return;
    if (!answered) return socket.terminate();
    answered = false;
    socket.ping();
  }, pingEachMs);
  timer.unref();
  socket.once('close', () => clearInterval(timer));
}

async function readError(answer: IncomingMessage, url: URL): Promise<Error> {
  let text = '';
  try {
    for await (const chunk of answer) {
      text += String(chunk);
      if (text.length > errorAnswerBytes) break;
    }
  } catch {
    // The status is enough.
  }
  return errorFromAnswer(answer.statusCode ?? 0, text, url);
}
