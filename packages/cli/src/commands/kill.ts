import { confirm, isCancel } from '@clack/prompts';
import type { Command } from 'commander';
import type { Box, Citb } from '@citb/sdk';
import type { Cli } from '../cli.ts';
import { UsageError, exitCodes } from '../exit.ts';
import { boxArgument, findBox } from '../target.ts';

interface KillFlags {
  all?: true;
  yes?: true;
}

/** `citb kill`: boxes, with all that is in them. */
export function addKill(program: Command, cli: Cli): void {
  program
    .command('kill')
    .summary('kill boxes: nothing of them is left')
    .description('Kills boxes: their machine, their disk and their conversations are gone.')
    .argument('[boxes...]', boxArgument)
    .option('--all', 'every box of the host')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', '\nExamples:\n  citb kill ada\n  citb kill box_k3v9x2m1 box_0a1b2c3d\n  citb kill --all --yes')
    .action(async (names: string[], flags: KillFlags) => {
      if (names.length > 0 === (flags.all === true))
        throw new UsageError('Say which boxes to kill.', 'Name them, or give --all and no names.');
      await using citb = await cli.client();
      const boxes = flags.all ? await everyBox(citb) : await Promise.all(names.map((name) => findBox(citb, name)));
      if (boxes.length === 0) return cli.note('There are no boxes.');
      if (flags.all && !flags.yes && !(await agreed(cli, boxes.length))) {
        cli.exitCode = exitCodes.failure;
        return cli.note('Nothing was killed.');
      }
      for (const box of boxes) {
        await box.kill();
        cli.note(`Killed ${box.id}.`);
      }
    });
}

async function everyBox(citb: Citb): Promise<Box[]> {
  const boxes: Box[] = [];
  for await (const box of citb.boxes.list()) boxes.push(box);
  return boxes;
}

async function agreed(cli: Cli, count: number): Promise<boolean> {
  if (!cli.stdin.isTTY) throw new UsageError('--all kills every box.', 'Give --yes as well when nobody can be asked.');
  const message = `Kill ${count === 1 ? 'the one box' : `all ${count} boxes`} with everything in them?`;
  const answer = await confirm({ message, initialValue: false });
  return !isCancel(answer) && answer;
}
