/** Completion for bash 4 and later; needs nothing but bash. */
import { type CompletionModel, type CompletionNode, functionName, spellingsOf } from './model.ts';

export function bashScript(model: CompletionModel): string {
  const name = functionName(model.program);
  return `# bash completion for ${model.program}

${name}() {
    local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path="" word i
    # bash cuts --flag=value into three words.
    if [[ $current == = ]]; then
        current=""
    elif [[ $previous == = ]]; then
        previous="\${COMP_WORDS[COMP_CWORD-2]}"
    fi
    COMPREPLY=()

    for ((i = 1; i < COMP_CWORD; i++)); do
        word="\${COMP_WORDS[i]}"
        case "$word" in
            --) return ;;
            ${model.valueFlags.join('|')})
                [[ \${COMP_WORDS[i+1]} == = ]] && ((i++))
                ((i++))
                ;;
            -* | =) ;;
            *)
                case "$path:$word" in
${steps(model)}
                esac
                ;;
        esac
    done

    case "$previous" in
${values(model)}
    esac

    local words="" flags="" files=""
    case "$path" in
${model.nodes.map(node).join('\n')}
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current")
    elif [[ -n $files ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        compopt -o filenames 2>/dev/null
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    fi
}

complete -F ${name} ${model.program}
`;
}

const BLANK = ' ';

function steps(model: CompletionModel): string {
  const lines: string[] = [];
  for (const node of model.nodes) {
    for (const step of node.steps) {
      const patterns = step.prefixes.map((prefix) => `"${node.path}:${prefix}"`);
      lines.push(`${BLANK.repeat(20)}${patterns.join(' | ')}) path="${step.path}" ;;`);
    }
  }
  return lines.join('\n');
}

function values(model: CompletionModel): string {
  const seen = new Map<string, string>();
  for (const flag of model.nodes.flatMap((node) => node.flags)) {
    if (!flag.takesValue) continue;
    const patterns = spellingsOf(flag).join(' | ');
    const candidates =
      flag.values.length > 0
        ? `mapfile -t COMPREPLY < <(compgen -W "${flag.values.join(' ')}" -- "$current")`
        : `mapfile -t COMPREPLY < <(compgen -f -- "$current")`;
    seen.set(
      patterns,
      `${BLANK.repeat(8)}${patterns})\n${BLANK.repeat(12)}${candidates}\n${BLANK.repeat(12)}return\n${BLANK.repeat(12)};;`,
    );
  }
  return [...seen.values()].join('\n');
}

function node({ path, words, flags, takesFiles }: CompletionNode): string {
  const parts = [
    `words="${words.map((item) => item.word).join(' ')}"`,
    `flags="${flags.flatMap(spellingsOf).join(' ')}"`,
    `files="${takesFiles ? 'yes' : ''}"`,
  ];
  return `${BLANK.repeat(8)}"${path}") ${parts.join(' ')} ;;`;
}
