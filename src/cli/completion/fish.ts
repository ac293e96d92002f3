/** Completion for fish 3.4 and later. */
import { type CompletionFlag, type CompletionModel, type CompletionNode, functionName } from './model.ts';

export function fishScript(model: CompletionModel): string {
  const name = `_${functionName(model.program)}_path`;
  const lines = model.nodes.flatMap((node) => nodeLines(model.program, name, node));
  return `# fish completion for ${model.program}

# The commands typed so far, in full.
function ${name}
    set -l path ""
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case ${model.valueFlags.join(' ')}
                set skip 1
            case '-*'
            case '*'
                switch "$path:$word"
${steps(model)}
                end
        end
    end
    echo $path
end

complete -c ${model.program} -f
${lines.join('\n')}
`;
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)}'`;
}

function steps(model: CompletionModel): string {
  const lines: string[] = [];
  for (const { path, steps } of model.nodes) {
    for (const step of steps) {
      const patterns = step.prefixes.map((prefix) => quote(`${path}:${prefix}`));
      lines.push(
        `                    case ${patterns.join(' ')}`,
        `                        set path ${quote(step.path)}`,
      );
    }
  }
  return lines.join('\n');
}

function nodeLines(program: string, name: string, node: CompletionNode): string[] {
  const start = `complete -c ${program} -n ${quote(`test "$(${name})" = "${node.path}"`)}`;
  const lines = node.words.map(
    ({ word, text }) => `${start} -a ${word}${text === '' ? '' : ` -d ${quote(text)}`}`,
  );
  if (node.takesFiles) lines.push(`${start} -F`);
  return [...lines, ...node.flags.map((flag) => start + flagOptions(flag))];
}

function flagOptions(flag: CompletionFlag): string {
  const short = flag.short ? ` -s ${flag.short.slice(1)}` : '';
  const words = flag.values.length > 0 ? ` -x -a ${quote(flag.values.join(' '))}` : ' -r -F';
  return `${short} -l ${flag.long.slice(2)}${flag.takesValue ? words : ''} -d ${quote(flag.text)}`;
}
