import type { Client } from './client.ts';

/** What a command printed, the code of an error, or `undefined`: nobody knows what came of it. */
export type ExecOutcome = { readonly code: string; readonly output: string } | undefined;

interface Line {
  readonly type: string;
  readonly data?: string;
  readonly exit_code?: number | null;
}

/** A command in the foreground, as root. Acknowledged when its exit is told. */
export async function exec(client: Client, boxId: string, command: string): Promise<ExecOutcome> {
  const outcome = await client.ask('POST', `/v1/boxes/${boxId}/exec`, { json: { command, user: 'root' } });
  if (outcome === undefined) return undefined;
  if (outcome.code !== 'ok') return { code: outcome.code, output: '' };
  const lines = outcome.body
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
  const exit = lines.find((line) => line.type === 'exit');
  if (exit === undefined) return undefined;
  const output = lines.flatMap((line) => (line.type === 'stdout' ? [line.data ?? ''] : [])).join('');
  return { code: exit.exit_code === 0 ? 'ok' : `exit ${exit.exit_code}: ${outcome.body.toString().slice(0, 500)}`, output };
}
