import type { McpSdkServerConfigWithInstance } from '@anthropic-ai/claude-agent-sdk';
import type { AgentSdk } from '../claude/sdk.ts';
import { checkpointTool } from './checkpoint.ts';

/** Tools that the agent has for its own box; Claude Code names them `mcp__box__…`. @param broker base URL of the one way out */
export function boxTools(sdk: AgentSdk, broker: string): Record<string, McpSdkServerConfigWithInstance> {
  return { box: sdk.createSdkMcpServer({ name: 'box', version: '1', tools: [checkpointTool(sdk, broker)], alwaysLoad: true }) };
}
