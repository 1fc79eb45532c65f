import type { CommandTree, TreeCommand, TreeOption } from './tree.ts';

/** A completion script for zsh. Boxes are asked of the host when they are wanted. */
export function zshCompletion({ name, options, commands }: CommandTree): string {
  return `#compdef ${name}
_${name}_boxes() { compadd -- \${(f)"$(${name} ls -q 2>/dev/null)"} }
_${name}() {
  local context state line
  _arguments -C ${options.map(spec).join(' ')} '1:command:->command' '*::argument:->argument'
  case $state in
    command)
      local -a all=(${commands.map((command) => quote(`${command.name}:${command.summary}`)).join(' ')})
      _describe command all ;;
    argument)
      case $line[1] in
${commands.map((command) => branch(name, command)).join('\n')}
      esac ;;
  esac
}
compdef _${name} ${name}
`;
}

function branch(name: string, command: TreeCommand): string {
  const argument = command.argument;
  const action = argument.kind === 'box' ? `_${name}_boxes` : argument.kind === 'choice' ? `(${argument.choices.join(' ')})` : '_files';
  return `        ${command.name}) _arguments ${command.options.map(spec).join(' ')} '1:first:${action}' '*:more:_files' ;;`;
}

function spec(option: TreeOption): string {
  const value = option.takesValue ? ':value:_files' : '';
  const names = [option.short, option.long].filter((word) => word !== undefined);
  const description = option.description.replace(/[[\]:]/g, '\\$&');
  return names.map((word) => quote(`${word}[${description}]${value}`)).join(' ');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
