/** Completion for PowerShell 5 and later. */
import { type CompletionModel, type CompletionNode, spellingsOf } from './model.ts';

export function powershellScript(model: CompletionModel): string {
  return `# PowerShell completion for ${model.program}

Register-ArgumentCompleter -Native -CommandName ${quote(model.program)} -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $steps = @{
${steps(model)}
    }
    $words = @{
${model.nodes
  .map((node) =>
    table(
      node.path,
      node.words.map((item) => [item.word, item.text]),
    ),
  )
  .join('\n')}
    }
    $flags = @{
${model.nodes.map((node) => table(node.path, flagPairs(node))).join('\n')}
    }
    $values = @{
${values(model)}
    }
    $valueFlags = @(${model.valueFlags.map(quote).join(', ')})

    $path = ''
    $previous = ''
    $typed = @($commandAst.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition -or $_.Extent.Text -cne $wordToComplete } |
        ForEach-Object { $_.Extent.Text })
    foreach ($word in $typed) {
        if ($valueFlags -ccontains $previous) { $previous = ''; continue }
        $previous = $word
        if (-not $word.StartsWith('-') -and $steps.ContainsKey("\${path}:$word")) { $path = $steps["\${path}:$word"] }
    }

    $candidates = if ($valueFlags -ccontains $previous) {
        if ($values.ContainsKey($previous)) { $values[$previous] }
    } elseif ($wordToComplete.StartsWith('-')) { $flags[$path] } else { $words[$path] }
    $candidates | Where-Object { $_ -and $_[0].StartsWith($wordToComplete) } | ForEach-Object {
        [System.Management.Automation.CompletionResult]::new($_[0], $_[0], 'ParameterValue', $_[1])
    }
}
`;
}

type Pair = readonly [word: string, text: string];

function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A tooltip may not be empty. */
function list(pairs: readonly Pair[]): string {
  return `@(${pairs.map(([word, text]) => `,@(${quote(word)}, ${quote(text === '' ? word : text)})`).join('; ')})`;
}

function table(path: string, pairs: readonly Pair[]): string {
  return `        ${quote(path)} = ${list(pairs)}`;
}

function flagPairs(node: CompletionNode): Pair[] {
  return node.flags.flatMap((flag) => spellingsOf(flag).map((spelling): Pair => [spelling, flag.text]));
}

function steps(model: CompletionModel): string {
  const lines = model.nodes.flatMap(({ path, steps }) =>
    steps.flatMap((step) =>
      step.prefixes.map((prefix) => `        ${quote(`${path}:${prefix}`)} = ${quote(step.path)}`),
    ),
  );
  return lines.join('\n');
}

function values(model: CompletionModel): string {
  const seen = new Map<string, string>();
  for (const flag of model.nodes.flatMap((node) => node.flags)) {
    for (const spelling of flag.values.length > 0 ? spellingsOf(flag) : []) {
      seen.set(
        spelling,
        table(
          spelling,
          flag.values.map((value): Pair => [value, '']),
        ),
      );
    }
  }
  return [...seen.values()].join('\n');
}
