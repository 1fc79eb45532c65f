import { guestPaths, guestPorts, guestUser } from '@citb/api';

/** Where the agent server finds and keeps its things. The defaults are those of a box. */
export interface AgentSettings {
  readonly host: string;
  readonly port: number;
  /** The small file system of its own: journals, conversations, Claude Code's configuration and transcripts. */
  readonly stateDir: string;
  /** On the large disk: requests that wait. */
  readonly spoolDir: string;
  readonly initFile: string;
  readonly workspace: string;
  /** The Agent SDK's module. It is loaded when the server runs and is no part of it. */
  readonly sdk: string;
  /** A cgroup v2 that belongs to this user; each Claude process gets one below it. */
  readonly cgroup: string;
  /** What a Claude process inherits. */
  readonly baseEnv: Readonly<Record<string, string>>;
  readonly logLevel: string;
}

/** Reads the environment that `main.ts` was given. */
export function readSettings(env: Readonly<NodeJS.ProcessEnv>, isRoot: boolean): AgentSettings {
  const runDir = env['CITB_RUN_DIR'] ?? '/run/citb';
  return {
    host: env['CITB_AGENT_HOST'] ?? '0.0.0.0',
    port: Number(env['CITB_AGENT_PORT'] ?? guestPorts.agent),
    stateDir: env['CITB_STATE_DIR'] ?? guestPaths.state,
    spoolDir: env['CITB_SPOOL_DIR'] ?? '/var/spool/citb',
    initFile: `${runDir}/init.json`,
    workspace: env['CITB_WORKSPACE'] ?? guestPaths.workspace,
    sdk: env['CITB_AGENT_SDK'] ?? '/opt/claude-agent/node_modules/@anthropic-ai/claude-agent-sdk/sdk.mjs',
    cgroup: env['CITB_AGENT_CGROUP'] ?? '/sys/fs/cgroup/agent',
    baseEnv: {
      PATH: env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: env['HOME'] ?? guestUser.home,
      USER: env['USER'] ?? guestUser.name,
      LOGNAME: env['USER'] ?? guestUser.name,
      SHELL: '/bin/bash',
      LANG: env['LANG'] ?? 'C.UTF-8',
      // Claude Code refuses to skip permissions as root unless it is told that this is a sandbox.
      ...(isRoot ? { IS_SANDBOX: '1' } : {}),
    },
    logLevel: env['CITB_LOG_LEVEL'] ?? 'info',
  };
}
