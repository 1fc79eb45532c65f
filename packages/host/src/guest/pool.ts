import type { Socket } from 'node:net';
import { type buildConnector, Pool } from 'undici';
import type { Vm } from '../vmm/vmm.ts';

/** A guest that does not take a connection within this is not there, in ms. */
const dialTimeoutMs = 10_000;

/**
 * Keep-alive HTTP/1.1 connections to one port of a guest, made by `Vm.dial`. Headers are bounded here; the size and time of
 * bodies are bounded by each call, since a download may last for hours and a stat may not.
 */
export function guestPool(vm: Vm, port: number): Pool {
  return new Pool('http://guest', {
    pipelining: 1,
    maxHeaderSize: 16 * 1024,
    // Below the 5 s after which Node's server closes an idle connection, so that a request rarely meets a closing one.
    keepAliveTimeout: 3000,
    keepAliveMaxTimeout: 3000,
    connect: (_options, callback) => void dial(vm, port, callback),
  });
}

async function dial(vm: Vm, port: number, callback: buildConnector.Callback): Promise<void> {
  try {
    const stream = await vm.dial(port, AbortSignal.timeout(dialTimeoutMs));
    // undici uses a socket as a Duplex, and the members of net.Socket only where they exist.
    callback(null, stream as Socket);
  } catch (error) {
    callback(error instanceof Error ? error : new Error(String(error)), null);
  }
}
