import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import type { Box } from '@citb/sdk';
import type { Cli } from '../cli.ts';
import { UsageError } from '../exit.ts';
import { collect, integer, positive } from '../options.ts';
import { boxArgument, findBox } from '../target.ts';
import { watchTask } from '../watch.ts';

interface TaskFlags {
  file?: readonly string[];
  model?: string;
  conversation?: string;
  maxTurns?: number;
  maxBudget?: number;
  timeout?: number;
  detach?: true;
  follow?: string;
  json?: true;
}

/** `citb task`: work for the agent, and its stream. */
export function addTask(program: Command, cli: Cli): void {
  program
    .command('task')
    .summary('give the agent in a box a piece of work, and watch it')
    .description(
      'Gives the agent in a box a piece of work and shows what it does. Its questions are asked here when this is a terminal.\n\n' +
        'Ctrl-C interrupts the task; once more leaves it at once, and it goes on if it can. With --follow Ctrl-C only stops watching.\n' +
        'A broken connection, a closed terminal or SIGTERM never stop a task.',
    )
    .argument('<box>', boxArgument)
    .argument('[prompt]', 'what is to be done; "-" or nothing reads it from stdin')
    .option('--file <local:remote>', 'put a file into the workspace first; may be repeated', collect)
    .option('--detach', 'start it, print its id, do not watch')
    .option('--follow <task>', 'watch a task that was started before, from its beginning')
    .option('--conversation <name>', "the agent's memory to use (default: main)")
    .option('--model <name>', 'Claude model (default: of the host)')
    .option('--max-turns <count>', 'interrupt it after so many turns', integer)
    .option('--max-budget <usd>', 'interrupt it when it has cost so much', positive)
    .option('--timeout <seconds>', 'interrupt it after so long (default: 3600)', integer)
    .option('--json', 'print the events as they come, one JSON object a line')
    .addHelpText(
      'after',
      `
Examples:
  citb task ada "Write hello.py and run it"
  citb task ada --file sales.csv:data/sales.csv "Draw the sales by month"
  citb task ada --json "Count the lines of code" | jq -r 'select(.type=="text").content'
  id=$(citb task ada --detach "Tidy up the folder") && citb task ada --follow "$id"
  git diff | citb task ada -`,
    )
    .action(async (name: string, prompt: string | undefined, flags: TaskFlags) => {
      await using citb = await cli.client();
      const box = await findBox(citb, name);
      if (flags.follow !== undefined) {
        if (prompt !== undefined) throw new UsageError('--follow watches a task that has its prompt already.', 'Leave the prompt away.');
        cli.exitCode = await watchTask(cli, box.task(flags.follow), { json: flags.json === true, interrupt: 'leave' });
        return;
      }
      const task = await start(cli, box, prompt, flags);
      if (flags.detach) return cli.print(task.id);
      cli.exitCode = await watchTask(cli, task, { json: flags.json === true, interrupt: 'cancel' });
    });
}

async function start(cli: Cli, box: Box, prompt: string | undefined, flags: TaskFlags): ReturnType<Box['run']> {
  const files = await Promise.all((flags.file ?? []).map(readLocal));
  return box.run(await promptText(cli, prompt), {
    files: Object.fromEntries(files),
    conversation: flags.conversation,
    model: flags.model,
    maxTurns: flags.maxTurns,
    maxBudgetUsd: flags.maxBudget,
    timeoutS: flags.timeout,
  });
}

async function promptText(cli: Cli, prompt: string | undefined): Promise<string> {
  if (prompt !== undefined && prompt !== '-') return prompt;
  if (prompt === undefined && cli.stdin.isTTY)
    throw new UsageError('There is no prompt.', 'Give it in quotes after the box, or pipe it in.');
  return text(cli.stdin);
}

/** `local:remote`, or `local` alone for the same name. */
async function readLocal(pair: string): Promise<[string, Uint8Array]> {
  const at = pair.lastIndexOf(':');
  const [local, remote] = at > 0 ? [pair.slice(0, at), pair.slice(at + 1)] : [pair, basename(pair)];
  try {
    return [remote, await readFile(local)];
  } catch (error) {
    throw new UsageError(
      `${local} cannot be read: ${(error as Error).message}`,
      'Give --file as local:remote. Folders and large files: citb cp.',
    );
  }
}
