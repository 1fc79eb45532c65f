import type { CommandTree, TreeCommand, TreeOption } from './tree.ts';

/** A completion script for bash. Boxes are asked of the host when they are wanted. */
export function bashCompletion({ name, options, commands }: CommandTree): string {
  return `# bash completion of ${name}
_${name}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" command="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) command="$word"; break ;; esac
  done
  COMPREPLY=()
  case "$command" in
    "") COMPREPLY=($(compgen -W "${[...commands.map((command) => command.name), ...words(options)].join(' ')}" -- "$cur")) ;;
${commands.map((command) => branch(name, command)).join('\n')}
  esac
}
complete -o default -F _${name} ${name}
`;
}

function branch(name: string, command: TreeCommand): string {
  const flags = words(command.options).join(' ');
  const values = {
    box: `$(${name} ls -q 2>/dev/null)`,
    file: '',
    choice: command.argument.kind === 'choice' ? command.argument.choices.join(' ') : '',
  }[command.argument.kind];
  const rest = values === '' ? '' : ` else COMPREPLY=($(compgen -W "${values}" -- "$cur"));`;
  return `    ${command.name}) if [[ "$cur" == -* ]]; then COMPREPLY=($(compgen -W "${flags}" -- "$cur"));${rest} fi ;;`;
}

function words(options: readonly TreeOption[]): string[] {
  return options.flatMap((option) => [option.short, option.long].filter((word) => word !== undefined));
}
