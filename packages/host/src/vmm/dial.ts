import { connect, type Socket } from 'node:net';

/** Connecting to the host's own loopback needs no time; this only bounds a machine without any left. */
const deadlineMs = 10_000;

/**
 * A TCP connection to a port of the guest.
 *
 * QEMU's user network accepts it before the guest does. When nobody listens in the guest the connection is reset a moment
 * later; while the guest has no network yet, or is paused, it stays silent. So a connection proves nothing: callers
 * take the first byte of an answer as proof, and put their own deadline on it.
 * @throws Error with `code` as node:net has it, or the signal's reason
 */
export function dialTcp(address: string, port: number, signal?: AbortSignal): Promise<Socket> {
  const limit = AbortSignal.timeout(deadlineMs);
  const stop = signal === undefined ? limit : AbortSignal.any([signal, limit]);
  return new Promise((resolve, reject) => {
    if (stop.aborted) return reject(stop.reason as Error);
    const socket = connect({ host: address, port, noDelay: true });
    const abort = () => {
      socket.destroy();
      reject(stop.reason as Error);
    };
    stop.addEventListener('abort', abort, { once: true });
    socket.once('error', (error) => {
      stop.removeEventListener('abort', abort);
      reject(error);
    });
    socket.once('connect', () => {
      stop.removeEventListener('abort', abort);
      socket.removeAllListeners('error');
      resolve(socket);
    });
  });
}
