/** Completion for zsh, to be found by compinit as `_<program>`, or sourced. */
import { type CompletionModel, type CompletionNode, functionName, spellingsOf } from './model.ts';

export function zshScript(model: CompletionModel): string {
  const name = functionName(model.program);
  return `#compdef ${model.program}

${name}() {
    local current="\${words[CURRENT]}" previous="\${words[CURRENT-1]}" where="" word
    local -a commands flags
    local -i i files=0

    for ((i = 2; i < CURRENT; i++)); do
        word="\${words[i]}"
        case "$word" in
            (--) _files; return ;;
            (${model.valueFlags.join('|')}) ((i++)) ;;
            (-*) ;;
            (*)
                case "$where:$word" in
${steps(model)}
                esac
                ;;
        esac
    done

    if [[ $current == --*=* ]]; then
        previous="\${current%%=*}"
        compset -P '*='
    fi
    case "$previous" in
${values(model)}
    esac

    case "$where" in
${model.nodes.map(node).join('\n')}
    esac
    if [[ $current == -* ]]; then
        _describe -o flag flags
    elif ((files)); then
        _files
    else
        _describe command commands
    fi
}

if [[ "$funcstack[1]" == ${name} ]]; then
    ${name} "$@"
else
    compdef ${name} ${model.program}
fi
`;
}

const BLANK = ' ';

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** `name:what it is`, as `_describe` takes it. */
function described(word: string, text: string): string {
  return quote(text === '' ? word : `${word}:${text.replaceAll(':', String.raw`\:`)}`);
}

function steps(model: CompletionModel): string {
  const lines: string[] = [];
  for (const { path, steps } of model.nodes) {
    for (const step of steps) {
      const patterns = step.prefixes.map((prefix) => `"${path}:${prefix}"`);
      lines.push(`${BLANK.repeat(20)}(${patterns.join('|')}) where="${step.path}" ;;`);
    }
  }
  return lines.join('\n');
}

function values(model: CompletionModel): string {
  const seen = new Map<string, string>();
  for (const flag of model.nodes.flatMap((item) => item.flags)) {
    if (!flag.takesValue) continue;
    const patterns = spellingsOf(flag).join('|');
    const candidates = flag.values.length > 0 ? `compadd -- ${flag.values.join(' ')}` : '_files';
    seen.set(patterns, `${BLANK.repeat(8)}(${patterns}) ${candidates}; return ;;`);
  }
  return [...seen.values()].join('\n');
}

function node({ path, words, flags, takesFiles }: CompletionNode): string {
  const commands = words.map((item) => described(item.word, item.text));
  const options = flags.flatMap((flag) =>
    spellingsOf(flag).map((spelling) => described(spelling, flag.text)),
  );
  const lines = [
    `${BLANK.repeat(8)}("${path}")`,
    `${BLANK.repeat(12)}commands=(${commands.join(' ')})`,
    `${BLANK.repeat(12)}flags=(${options.join(' ')})`,
    `${BLANK.repeat(12)}files=${takesFiles ? 1 : 0}`,
    `${BLANK.repeat(12)};;`,
  ];
  return lines.join('\n');
}
