import { statfs } from 'node:fs/promises';
import type { Memory } from '../conversations/choose.ts';

/** Part of the state disk that should be free before a task begins. */
const wantedFree = 0.3;

/**
 * Keeps room on the state disk: transcripts that were made from a `context` go, the longest unused first. The box's own
 * conversations are never touched.
 */
export async function keepRoom(stateDir: string, memory: Memory, current: string): Promise<void> {
  for (const conversation of memory.conversations.fromContext(current)) {
    const { bavail, blocks } = await statfs(stateDir);
    if (bavail >= blocks * wantedFree) return;
    await memory.transcripts.remove(conversation.session_id);
  }
}
