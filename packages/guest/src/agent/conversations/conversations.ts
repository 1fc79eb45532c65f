import { readFileSync } from 'node:fs';
import { conversationName } from '@citb/api';
import { z } from 'zod';
import { writeDurably } from '../durable.ts';

const record = z.object({
  session_id: z.uuid(),
  /** The box in which the session got its id: in a clone of it the session gets another. */
  box_id: z.string().optional(),
  used: z.iso.datetime(),
  /** Made from a task's `context`: may go when room is needed. */
  from_context: z.boolean().default(false),
});
export type Conversation = z.infer<typeof record>;

const file = z.object({ version: z.literal(1), conversations: z.record(conversationName, record) });

/** Names beyond it: the longest unused go. */
const namesKept = 1000;

/** Which Claude session each conversation has; survives everything, for it is what makes a conversation go on. */
export class Conversations {
  readonly #path: string;
  #entries: Map<string, Conversation>;

  /** A file that cannot be read is the same as none: the transcripts are still there, but no name leads to them. */
  constructor(path: string) {
    this.#path = path;
    this.#entries = new Map(Object.entries(read(path)));
  }

  get(name: string): Conversation | undefined {
    return this.#entries.get(name);
  }

  /** Sessions that were made from a `context`, longest unused first, without one name. */
  fromContext(except: string): Conversation[] {
    return [...this.#entries]
      .filter(([name, entry]) => entry.from_context && name !== except)
      .map(([, entry]) => entry)
      .toSorted((left, right) => left.used.localeCompare(right.used));
  }

  /** Durable when it returns. @throws what the file system says */
  async set(name: string, entry: Conversation): Promise<void> {
    const entries = new Map(this.#entries).set(name, entry);
    if (entries.size > namesKept) {
      const oldest = [...entries].toSorted(([, left], [, right]) => left.used.localeCompare(right.used))[0];
      if (oldest !== undefined) entries.delete(oldest[0]);
    }
    const content: z.infer<typeof file> = { version: 1, conversations: Object.fromEntries(entries) };
    await writeDurably(this.#path, `${JSON.stringify(content, undefined, 1)}\n`);
    this.#entries = entries;
  }
}

function read(path: string): Record<string, Conversation> {
  try {
    return file.parse(JSON.parse(readFileSync(path, 'utf8'))).conversations;
  } catch {
    return {};
  }
}
