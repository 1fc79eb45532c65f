import type { SdkMcpToolDefinition } from '@anthropic-ai/claude-agent-sdk';
import { agentCheckpointPath, checkpointMade, checkpointRequest } from '@citb/api';
import { z } from 'zod';
import { type Flush, guestFlush } from '../../flush.ts';
import type { AgentSdk } from '../claude/sdk.ts';

/** The box stands while its disk is copied: seconds, with a large disk on a slow host. */
const patienceMs = 300_000;

const description =
  'Make a checkpoint of this machine: all files as they are now, kept by the host outside of the machine. ' +
  'Use it before something risky (a large refactoring, a migration, removing files). ' +
  'The user can roll the machine back to it; you cannot. Only the last few are kept.';

const shape = { name: checkpointRequest.shape.name.describe('What this state is, in a few words, for the person who may go back to it') };

/** The agent's `checkpoint {name}`. What goes wrong is told to the agent in words. */
export function checkpointTool(sdk: AgentSdk, broker: string, flush: Flush = guestFlush()): SdkMcpToolDefinition<typeof shape> {
  return sdk.tool('checkpoint', description, shape, async ({ name }) => {
    try {
      // What the agent has just written is in the guest's memory, and a checkpoint is of the disk.
      await flush();
      const { id } = await ask(broker, name);
      return { content: [{ type: 'text', text: `Checkpoint ${id} is made. The user can roll back to it.` }] };
    } catch (error) {
      return { content: [{ type: 'text', text: `No checkpoint was made: ${(error as Error).message}` }], isError: true };
    }
  });
}

const refusal = z.object({ error: z.object({ message: z.string() }) });

async function ask(broker: string, name: string): Promise<z.output<typeof checkpointMade>> {
  const answer = await fetch(`${broker}${agentCheckpointPath}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name } satisfies z.input<typeof checkpointRequest>),
    signal: AbortSignal.timeout(patienceMs),
  });
  const body: unknown = await answer.json().catch(() => undefined);
  if (!answer.ok) throw new Error(refusal.safeParse(body).data?.error.message ?? `the host answered ${answer.status}`);
  return checkpointMade.parse(body);
}
