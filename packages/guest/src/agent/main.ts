import { mkdirSync } from 'node:fs';
import { createLog } from '@citb/daemon';
import { serve } from '@hono/node-server';
import { guestFlush } from '../flush.ts';
import { openTree } from '../tree/index.ts';
import { Agent } from './claude/agent.ts';
import { createFences } from './claude/fence.ts';
import { loadSdk } from './claude/sdk.ts';
import { mainConversation } from './conversations/choose.ts';
import { Conversations } from './conversations/conversations.ts';
import { Transcripts } from './conversations/transcripts.ts';
import { InitFile } from './init-file.ts';
import { initialised, leaveTemplate, prewarm } from './prewarm.ts';
import { agentHttp } from './server.ts';
import { readSettings } from './settings.ts';
import { Journals } from './tasks/journals.ts';
import { keepRoom } from './tasks/room.ts';
import type { RunContext } from './tasks/run.ts';
import { Spool } from './tasks/spool.ts';
import { Tasks } from './tasks/tasks.ts';

/** The agent server of a box. Prints `{"port":n}` when it listens; ends on SIGTERM. */
const settings = readSettings(process.env, process.getuid?.() === 0);
const log = createLog('agent', settings.logLevel);
const config = `${settings.stateDir}/claude`;
mkdirSync(config, { recursive: true, mode: 0o700 });

const fences = createFences(settings.cgroup, settings.stateDir);
// Before anything else: a Claude of an earlier run must not write into a conversation that is taken up now.
fences.killLeftovers();

const init = new InitFile(settings.initFile);
const tree = openTree({ root: settings.workspace, confined: true });
const context: RunContext = {
  settings,
  init: () => init.current(),
  agent: new Agent(await loadSdk(settings.sdk), fences, log),
  memory: {
    conversations: new Conversations(`${settings.stateDir}/conversations.json`),
    transcripts: new Transcripts(config, settings.workspace, `${settings.spoolDir}/results`),
  },
  writeFile: async (path, bytes) => {
    // A crash before the task begins has it begun anew, with its files; after that it ends, and they are as they came or not there.
    await tree.write(path, [bytes], { durable: false });
  },
  flush: guestFlush(),
  log,
};
const journals = new Journals(`${settings.stateDir}/tasks`, (id) => tasks.forget(id));
const tasks: Tasks = new Tasks(journals, new Spool(`${settings.spoolDir}/requests`), context, () =>
  keepRoom(settings.stateDir, context.memory, context.agent.session?.launch.conversation ?? mainConversation),
);
await tasks.recover();

const stopping = new AbortController();
const server = serve(
  { fetch: agentHttp({ init, tasks, agent: context.agent, log }).fetch, hostname: settings.host, port: settings.port },
  ({ port }) => process.stdout.write(`${JSON.stringify({ port })}\n`),
);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopping.abort());

if (await initialised(context, stopping.signal)) {
  if (tasks.list().every((task) => task.state !== 'queued')) await prewarm(context);
  void leaveTemplate(context, stopping.signal);
  stopping.signal.addEventListener('abort', () => void stop(), { once: true });
  if (stopping.signal.aborted) void stop();
  await tasks.work();
} else {
  await stop();
}

async function stop(): Promise<void> {
  tasks.stop();
  server.close();
  await context.agent.stop();
  process.exit(0);
}
