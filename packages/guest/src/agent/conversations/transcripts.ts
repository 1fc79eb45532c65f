import { mkdir, open, readdir, realpath, rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freshUuid } from '../../fresh-uuid.ts';
import { writeDurably } from '../durable.ts';
import type { HistoryMessage } from './normalise.ts';

/** The last answer is near the end of a transcript: cost and prompt records follow it. */
const tailBytes = 512 * 1024;

/** Claude Code's transcripts: `<config>/projects/<folder of the cwd>/<session id>.jsonl`. */
export class Transcripts {
  readonly #projects: string;
  readonly #workspace: string;
  readonly #large: string;

  /**
   * @param config Claude Code's configuration folder, CLAUDE_CONFIG_DIR
   * @param large a folder on the large disk
   */
  constructor(config: string, workspace: string, large: string) {
    this.#projects = join(config, 'projects');
    this.#workspace = workspace;
    this.#large = large;
  }

  /**
   * Makes room for a session's large tool results on the large disk: Claude Code keeps each output of more than a few KB beside
   * the transcript, 22 MB for one `seq 1 3000000`, and the transcript's disk is small.
   */
  async prepare(sessionId: string): Promise<void> {
    const place = join(this.#large, sessionId);
    const folder = join(await this.#folder(), sessionId);
    await mkdir(place, { recursive: true, mode: 0o700 });
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await symlink(place, join(folder, 'tool-results')).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    });
  }

  /** True when a session can be resumed. */
  async has(sessionId: string): Promise<boolean> {
    return (await this.#find(sessionId)) !== undefined;
  }

  /**
   * Writes a history as if Claude Code had had this conversation, to be resumed. Each entry needs a uuid and its parent's,
   * else all but the last is dropped without an error. @throws what the file system says
   */
  async write(sessionId: string, history: readonly HistoryMessage[]): Promise<void> {
    const folder = await this.#folder();
    await mkdir(folder, { recursive: true, mode: 0o700 });
    let parentUuid: string | null = null;
    const lines = history.map((message) => {
      const uuid = freshUuid();
      const line = JSON.stringify({
        type: message.role,
        uuid,
        parentUuid,
        sessionId,
        timestamp: new Date().toISOString(),
        // Equal ids would be merged into one message.
        message: message.role === 'user' ? message : { id: `msg_${freshUuid()}`, type: 'message', ...message },
      });
      parentUuid = uuid;
      return line;
    });
    await writeDurably(join(folder, `${sessionId}.jsonl`), `${lines.join('\n')}\n`);
  }

  /**
   * Whether the transcript holds a message. Claude Code tells of a lost transcript only when it ends, and of a read-only disk
   * never (AGENT.md section 9), so the file is looked at. @param ms how long the message may take to get there
   */
  async holds(sessionId: string, messageId: string, ms: number): Promise<boolean> {
    for (const end = Date.now() + ms; ; await sleep(50)) {
      const path = await this.#find(sessionId);
      if (path !== undefined && (await tail(path)).includes(messageId)) return true;
      if (Date.now() > end) return false;
    }
  }

  /** Removes a session's transcript and what Claude Code kept beside it. */
  async remove(sessionId: string): Promise<void> {
    const path = await this.#find(sessionId);
    if (path === undefined) return;
    await rm(path, { force: true });
    await rm(path.slice(0, -'.jsonl'.length), { recursive: true, force: true });
    await rm(join(this.#large, sessionId), { recursive: true, force: true });
  }

  /** Claude Code's own rule: every UTF-16 unit outside [A-Za-z0-9] of the cwd becomes a hyphen. */
  async #folder(): Promise<string> {
    return join(this.#projects, (await realpath(this.#workspace)).replaceAll(/[^A-Za-z0-9]/g, '-'));
  }

  async #find(sessionId: string): Promise<string | undefined> {
    for (const folder of await readdir(this.#projects).catch(() => [])) {
      const path = join(this.#projects, folder, `${sessionId}.jsonl`);
      const stats = await stat(path).catch(() => undefined);
      if (stats?.isFile() === true && stats.size > 0) return path;
    }
    return undefined;
  }
}

async function tail(path: string): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const length = Math.min(size, tailBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
