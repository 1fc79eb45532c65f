import { closeSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { descriptorCalls } from './system-calls.ts';

/** The other end of a connection. */
export interface Peer {
  /** IPv4. */
  readonly address: string;
  readonly port: number;
}

/** ESTABLISHED, FIN_WAIT1 and FIN_WAIT2 of the kernel's tcp_states.h: those in which a program may still wait for an answer. */
const waiting: ReadonlySet<string> = new Set(['01', '04', '05']);

/** struct sockaddr whose family is AF_UNSPEC: to connect to it is to reset, see connect(2). */
const nobody = Buffer.alloc(16);

/**
 * Resets the TCP connections of this machine to a peer: their programs get ECONNRESET at once. For a machine that was restored:
 * the other ends are those of another machine, or gone, and a program that waits for an answer sends nothing by which it would
 * notice (seen: Claude Code, 90 s and more). The descriptor is borrowed from its program by pidfd_getfd(2); the kernel's own way,
 * SOCK_DESTROY, takes a module that boxes do not load.
 *
 * Needs root. Without foreign functions nothing is done. @returns how many were reset
 */
export async function resetConnections(peer: Peer): Promise<number> {
  const sockets = connectionsTo(peer);
  if (sockets.size === 0) return 0;
  const calls = await descriptorCalls();
  if (calls === undefined) return 0;
  let reset = 0;
  for (const pid of readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)) {
    for (const file of filesOf(pid, sockets)) {
      if (sockets.size === 0) return reset;
      const process = calls.pidfd_open(pid, 0);
      if (process < 0) break;
      const socket = calls.pidfd_getfd(process, file.descriptor, 0);
      closeSync(process);
      if (socket < 0) continue;
      // Children share it with their parents: once is enough.
      sockets.delete(file.inode);
      if (calls.connect(socket, nobody, nobody.length) === 0) reset += 1;
      closeSync(socket);
    }
  }
  return reset;
}

/** Inodes of the sockets. */
function connectionsTo({ address, port }: Peer): Set<string> {
  // As the kernel prints them on little-endian machines, also those that were opened as IPv6.
  const host = Buffer.from(address.split('.').toReversed().map(Number)).toString('hex').toUpperCase();
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const remotes = new Set([`${host}${end}`, `0000000000000000FFFF0000${host}${end}`]);
  const found = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const text = textOf(table);
    // Mostly there are none, and an emulated clone waits tens of milliseconds for the rest.
    if (!text.includes(end)) continue;
    for (const line of text.split('\n').slice(1)) {
      const [, , remote = '', state = '', , , , , , inode = '0'] = line.trim().split(/\s+/);
      if (remotes.has(remote) && waiting.has(state) && inode !== '0') found.add(inode);
    }
  }
  return found;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** Which of the sockets a process has open. One that ends meanwhile has none. */
function filesOf(pid: number, sockets: ReadonlySet<string>): { descriptor: number; inode: string }[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${name}`))?.[1];
      return inode !== undefined && sockets.has(inode) ? [{ descriptor: Number(name), inode }] : [];
    });
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
