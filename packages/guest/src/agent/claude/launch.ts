import type { GuestInit, TaskOptions } from '@citb/api';
import type { Options } from '@anthropic-ai/claude-agent-sdk';
import type { AgentSettings } from '../settings.ts';

/** The model of a task that names none, in a box that has no default. */
export const defaultModel = 'claude-sonnet-5';

/** Which session a Claude process has. */
export type SessionChoice =
  | { readonly kind: 'new'; readonly id: string }
  | { readonly kind: 'resume'; readonly id: string }
  /** The box was cloned: the history goes on under an id of its own. */
  | { readonly kind: 'fork'; readonly from: string; readonly id: string };

/** All that must be equal for a live Claude process to take a task. */
export interface Launch {
  readonly conversation: string;
  readonly session: SessionChoice;
  readonly options: Options;
  /** The box that it was made for, when that was known. */
  readonly boxId: string | undefined;
  /** Launches with equal keys can share a process. */
  readonly key: string;
}

/** How Claude Code is started for a task. */
export function launchFor(
  settings: AgentSettings,
  init: GuestInit,
  conversation: string,
  session: SessionChoice,
  task: TaskOptions,
): Launch {
  const options = optionsFor(settings, init, session, task);
  const { env, model, systemPrompt, maxTurns, maxBudgetUsd } = options;
  return {
    conversation,
    session,
    options,
    boxId: init.identity?.boxId,
    key: JSON.stringify([conversation, session.id, env, model, systemPrompt, maxTurns, maxBudgetUsd]),
  };
}

/** Options that are the same for every process (AGENT.md: measured on 0.3.330). */
function optionsFor(settings: AgentSettings, init: GuestInit, session: SessionChoice, task: TaskOptions): Options {
  return {
    cwd: settings.workspace,
    env: environment(settings, init),
    model: task.model ?? init.agent?.model ?? defaultModel,
    systemPrompt: { type: 'preset', preset: 'claude_code', append: appended(settings, task) },
    // The machine is the boundary.
    permissionMode: 'bypassPermissions',
    allowDangerouslySkipPermissions: true,
    includePartialMessages: true,
    forwardSubagentText: true,
    // Prompts come from anywhere: `@file` and `/command` are text.
    verbatimPrompts: true,
    settingSources: ['user', 'project'],
    settings: { cleanupPeriodDays: 3650 },
    strictMcpConfig: true,
    mcpServersDelivery: 'initialize',
    ...sessionOptions(session),
    ...(task.max_turns === undefined ? {} : { maxTurns: task.max_turns }),
    ...(task.max_budget_usd === undefined ? {} : { maxBudgetUsd: task.max_budget_usd }),
  };
}

function sessionOptions(session: SessionChoice): Pick<Options, 'sessionId' | 'resume' | 'forkSession'> {
  if (session.kind === 'new') return { sessionId: session.id };
  if (session.kind === 'resume') return { resume: session.id };
  return { resume: session.from, forkSession: true, sessionId: session.id };
}

/** It replaces the environment of the process. The box's own variables cannot take the place of ours. */
function environment(settings: AgentSettings, init: GuestInit): Record<string, string> {
  return {
    ...settings.baseEnv,
    ...init.envVars,
    CLAUDE_CONFIG_DIR: `${settings.stateDir}/claude`,
    ANTHROPIC_BASE_URL: init.agent?.anthropicBaseUrl ?? '',
    // Claude Code wants one; the broker puts the real key in its place.
    ANTHROPIC_API_KEY: 'placeholder-the-host-adds-the-key',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: '1',
    CLAUDE_AGENT_SDK_CLIENT_APP: 'claude-in-the-box/0.1.0',
  };
}

function appended(settings: AgentSettings, task: TaskOptions): string {
  const machine =
    `You run in a private virtual machine that belongs to one user. Work in ${settings.workspace}; files there are kept and shown to the user. ` +
    'You have passwordless sudo. Nobody watches a terminal: your messages and files are all that the user sees. ' +
    'The network may be restricted or absent.';
  return task.system_prompt === undefined ? machine : `${machine}\n\n${task.system_prompt}`;
}
