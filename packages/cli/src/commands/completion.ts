import { Argument, type Command } from 'commander';
import type { Cli } from '../cli.ts';
import { bashCompletion } from '../completion/bash.ts';
import { fishCompletion } from '../completion/fish.ts';
import { commandTree } from '../completion/tree.ts';
import { zshCompletion } from '../completion/zsh.ts';

const scripts = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

/** `citb completion`: a script for the shell. */
export function addCompletion(program: Command, cli: Cli): void {
  program
    .command('completion')
    .summary('print a completion script for the shell')
    .description('Prints a script that completes commands, options and boxes.')
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(scripts)))
    .addHelpText(
      'after',
      `
Examples:
  citb completion bash >> ~/.bashrc
  citb completion zsh > "\${fpath[1]}/_citb"
  citb completion fish > ~/.config/fish/completions/citb.fish`,
    )
    .action((shell: keyof typeof scripts) => cli.print(scripts[shell](commandTree(program)).trimEnd()));
}
