import { type Logger, pino } from 'pino';

export type { Logger };

/** Names under which a secret could reach a log line; their values are replaced. */
const secretPaths = [
  'key',
  'token',
  'accessToken',
  'apiKey',
  'authorization',
  'env_vars',
  'envVars',
  '*.key',
  '*.token',
  '*.accessToken',
  '*.apiKey',
  '*.authorization',
  '*.env_vars',
  '*.envVars',
  '*.ANTHROPIC_API_KEY',
];

/**
 * JSON lines on stderr, so that stdout stays free for what a command answers.
 * @param level pino's level names; `silent` for tests
 */
export function createLog(name: string, level = 'info'): Logger {
  return pino({ name, level, redact: { paths: secretPaths, censor: '[secret]' } }, process.stderr);
}
