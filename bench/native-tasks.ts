import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NativeAgent, completionOf, startScriptedModel } from '@citb/testkit';
import { timed } from './measure.ts';

const claude = new URL(`../node_modules/@anthropic-ai/claude-agent-sdk-linux-${process.arch}/claude`, import.meta.url).pathname;

/** Times of a conversation's first two tasks, ms. */
export interface TwoTasks {
  readonly first: number;
  readonly second: number;
}

/** Claude Code alone, without a machine and without anything of ours: `claude -p`, then `claude -p --continue`. */
export async function claudeAlone(prompt: string): Promise<TwoTasks> {
  const model = await startScriptedModel({ port: 0 });
  const root = await mkdtemp(join(tmpdir(), 'citb-claude-'));
  const workspace = join(root, 'workspace');
  await mkdir(workspace);
  const environment = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: root,
    IS_SANDBOX: '1',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: 'sk-scripted',
  };
  const one = async (more: readonly string[]): Promise<number> => {
    const { ms } = await timed(async () => {
      const child = spawn(
        claude,
        // As the agent server has it: every message, with its deltas.
        [
          '-p',
          prompt,
          ...more,
          ...'--permission-mode bypassPermissions --output-format stream-json --include-partial-messages --verbose'.split(' '),
        ],
        { cwd: workspace, env: environment, stdio: ['ignore', 'ignore', 'inherit'] },
      );
      const [code] = (await once(child, 'close')) as [number | null];
      if (code !== 0) throw new Error(`claude -p ended with ${code}`);
    });
    return ms;
  };
  try {
    return { first: await one([]), second: await one(['--continue']) };
  } finally {
    await model.close();
    await rm(root, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The same agent server as in a box, without a machine: its Claude Code stays between the tasks. */
export async function agentServerAlone(prompt: string): Promise<TwoTasks> {
  const model = await startScriptedModel({ port: 0 });
  try {
    await using agent = await NativeAgent.create(model.url, { IS_SANDBOX: '1' });
    await agent.init();
    const one = async (): Promise<number> => {
      const { ms, value } = await timed(() => agent.run(prompt));
      if (completionOf(value).outcome !== 'done') throw new Error('the native task failed');
      return ms;
    };
    return { first: await one(), second: await one() };
  } finally {
    await model.close();
  }
}
