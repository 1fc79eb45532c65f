import { pathToFileURL } from 'node:url';
import type { createSdkMcpServer, query, startup, tool } from '@anthropic-ai/claude-agent-sdk';

/**
 * What is used of the Claude Agent SDK 0.3.330. It is loaded from the image of the box when the server runs: its licence
 * lets nobody ship it along.
 */
export interface AgentSdk {
  readonly query: typeof query;
  readonly startup: typeof startup;
  readonly createSdkMcpServer: typeof createSdkMcpServer;
  readonly tool: typeof tool;
}

/** @throws when the module is not there or is another one */
export async function loadSdk(path: string): Promise<AgentSdk> {
  const module = (await import(pathToFileURL(path).href)) as Partial<AgentSdk>;
  const { query, startup, createSdkMcpServer, tool } = module;
  if (query === undefined || startup === undefined || createSdkMcpServer === undefined || tool === undefined)
    throw new Error(`${path} is not the Claude Agent SDK`);
  return { query, startup, createSdkMcpServer, tool };
}
