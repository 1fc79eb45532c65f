import type { CommandTree, TreeCommand, TreeOption } from './tree.ts';

/** A completion script for fish. Boxes are asked of the host when they are wanted. */
export function fishCompletion({ name, options, commands }: CommandTree): string {
  const lines = [`# fish completion of ${name}`, ...options.map((option) => optionLine(name, '__fish_use_subcommand', option))];
  for (const command of commands) {
    lines.push(`complete -c ${name} -f -n __fish_use_subcommand -a ${command.name} -d ${quote(command.summary)}`);
    const inside = quote(`__fish_seen_subcommand_from ${command.name}`);
    lines.push(...command.options.map((option) => optionLine(name, inside, option)), ...argumentLine(name, inside, command));
  }
  return `${lines.join('\n')}\n`;
}

function argumentLine(name: string, inside: string, { argument }: TreeCommand): string[] {
  if (argument.kind === 'box') return [`complete -c ${name} -n ${inside} -a '(${name} ls -q 2>/dev/null)'`];
  return argument.kind === 'choice' ? [`complete -c ${name} -f -n ${inside} -a ${quote(argument.choices.join(' '))}`] : [];
}

function optionLine(name: string, condition: string, option: TreeOption): string {
  const short = option.short === undefined ? '' : ` -s ${option.short.slice(1)}`;
  return `complete -c ${name} -n ${condition}${short} -l ${option.long.slice(2)}${option.takesValue ? ' -r' : ''} -d ${quote(option.description)}`;
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
