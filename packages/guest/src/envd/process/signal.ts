import { readFile, readdir } from 'node:fs/promises';

/**
 * Signals a process that leads a session, with its process group. SIGKILL also reaches the other groups of its
 * session, which job control of a shell makes: nothing that it started stays behind, unless it made a session of its own.
 * A process that is gone is no failure.
 */
export async function signalSession(leader: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  kill(-leader, signal);
  if (signal === 'SIGKILL') for (const pid of await sessionMembers(leader)) kill(pid, signal);
}

async function sessionMembers(session: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const sessions = await Promise.all(pids.map(async (pid) => ({ pid: Number(pid), session: await sessionOf(pid) })));
  return sessions.filter((each) => each.session === session).map(({ pid }) => pid);
}

/** proc(5): after the name in parentheses come state, parent, group, session. */
async function sessionOf(pid: string): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3] ?? Number.NaN);
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already.
  }
}
