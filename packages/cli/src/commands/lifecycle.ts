import type { Command } from 'commander';
import type { Box } from '@citb/sdk';
import type { Cli } from '../cli.ts';
import { Waiting } from '../render/index.ts';
import { boxArgument, findBox } from '../target.ts';

interface Verb {
  readonly name: 'pause' | 'resume' | 'stop';
  readonly summary: string;
  readonly description: string;
  readonly waiting: string;
}

const verbs: readonly Verb[] = [
  {
    name: 'pause',
    summary: 'put boxes to sleep, with memory and processes',
    description:
      'Puts boxes to sleep: memory and processes go to the disk of the host and cost nothing there. The next request wakes a box.',
    waiting: 'The box is being saved',
  },
  {
    name: 'resume',
    summary: 'wake boxes',
    description: 'Wakes boxes: paused ones as they were, stopped ones booted from their disks.',
    waiting: 'The box is being started',
  },
  {
    name: 'stop',
    summary: 'shut boxes down; their files stay',
    description: 'Shuts boxes down. Files and conversations stay, processes do not; the next request boots a box.',
    waiting: 'The box is shutting down',
  },
];

/** `citb pause`, `citb resume`, `citb stop`. */
export function addLifecycle(program: Command, cli: Cli): void {
  for (const { name, summary, description, waiting } of verbs)
    program
      .command(name)
      .summary(summary)
      .description(description)
      .argument('<boxes...>', boxArgument)
      .option('--json', 'print the boxes as JSON, one a line')
      .addHelpText('after', `\nExamples:\n  citb ${name} ada\n  citb ${name} $(citb ls -q)`)
      .action(async (names: string[], flags: { json?: true }) => {
        await using citb = await cli.client();
        const boxes: Box[] = [];
        for (const each of names) boxes.push(await findBox(citb, each));
        for (const box of boxes) {
          using _shown = new Waiting(cli.stderr, waiting);
          const info = await box[name]();
          if (flags.json) cli.print(JSON.stringify(info));
          else cli.note(`${box.id} is ${info.state}.`);
        }
      });
}
