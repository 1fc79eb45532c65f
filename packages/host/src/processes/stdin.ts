import { Code, ConnectError } from '@connectrpc/connect';
import type { ProcessClient } from '../guest/connect.ts';

/** One message of input in bytes. */
const pieceBytes = 64 * 1024;

/** Writes to a process in order, piece by piece; each waits until the process has room for it. @throws what the guest's service says */
export async function writeInput(
  client: ProcessClient,
  pid: number,
  kind: 'stdin' | 'pty',
  data: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  for (let at = 0; at < data.length; at += pieceBytes) {
    const value = data.subarray(at, at + pieceBytes);
    await client.sendInput({ process: selector(pid), input: { input: { case: kind, value } } }, { signal });
  }
}

/** A program that reads no further has ended or does not care: its input is dropped without a word. */
export async function feedInput(
  client: ProcessClient,
  pid: number,
  { data, close }: { data: Uint8Array; close: boolean },
  signal: AbortSignal,
): Promise<void> {
  try {
    await writeInput(client, pid, 'stdin', data, signal);
    if (close) await client.closeStdin({ process: selector(pid) }, { signal });
  } catch {
    // The output and the exit tell how it went.
  }
}

export function selector(pid: number): { selector: { case: 'pid'; value: number } } {
  return { selector: { case: 'pid', value: pid } };
}

/** True for the guest's answer that there is no such process. */
export function isGone(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.NotFound;
}
