import type { Command, Option } from 'commander';

export interface TreeOption {
  readonly short: string | undefined;
  readonly long: string;
  readonly description: string;
  readonly takesValue: boolean;
}

/** What an argument can be completed with; `file` is what shells do by themselves. */
export type TreeArgument = { readonly kind: 'box' | 'file' } | { readonly kind: 'choice'; readonly choices: readonly string[] };

export interface TreeCommand {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly TreeOption[];
  readonly argument: TreeArgument;
}

export interface CommandTree {
  readonly name: string;
  readonly options: readonly TreeOption[];
  readonly commands: readonly TreeCommand[];
}

/** Names of arguments that mean a box. */
const boxNames: ReadonlySet<string> = new Set(['box', 'boxes']);

/** What completion scripts must know of the command tree. */
export function commandTree(program: Command): CommandTree {
  const help = program.createHelp();
  return {
    name: program.name(),
    options: help.visibleOptions(program).map(treeOption),
    commands: help.visibleCommands(program).map((command) => ({
      name: command.name(),
      summary: command.summary() || command.description(),
      options: help.visibleOptions(command).map(treeOption),
      argument: treeArgument(command),
    })),
  };
}

function treeOption(option: Option): TreeOption {
  return {
    short: option.short,
    long: option.long ?? '',
    description: option.description,
    takesValue: option.required || option.optional,
  };
}

function treeArgument(command: Command): TreeArgument {
  const first = command.registeredArguments[0];
  if (first?.argChoices !== undefined) return { kind: 'choice', choices: first.argChoices };
  return { kind: first !== undefined && boxNames.has(first.name()) ? 'box' : 'file' };
}
