/** The command and flag tables in the form that completion scripts need: what may follow after which words. */
import { COMMANDS, firstWords, NOUNS, verbsOf } from '../commands.ts';
import { type AnyFlag, flagRow, type FlagRows, flagText, GLOBAL_FLAGS } from '../flags.ts';

export interface CompletionWord {
  word: string;
  text: string;
}

export interface CompletionFlag {
  /** `--write-out` */
  long: string;
  /** `-w` */
  short?: string;
  text: string;
  takesValue: boolean;
  /** Values to offer; without them, file names. */
  values: readonly string[];
}

/** What may follow once the words of `path` have been typed. */
export interface CompletionNode {
  /** Empty for the program, `snapshot`, `snapshot status`. */
  path: string;
  /** Commands, or the values an operand can have. */
  words: readonly CompletionWord[];
  /** Whether operands are files. */
  takesFiles: boolean;
  flags: readonly CompletionFlag[];
  /** Unambiguous beginnings of each command that may follow, and the path that it leads to. */
  steps: readonly { prefixes: readonly string[]; path: string }[];
}

export interface CompletionModel {
  program: string;
  nodes: readonly CompletionNode[];
  /** All flags that take a value, in each spelling: the word after one is not a command. */
  valueFlags: readonly string[];
}

export function completionModel(program: string): CompletionModel {
  const nouns = firstWords().filter((word) => verbsOf(word).length > 0);
  const nodes = [
    groupNode(
      '',
      firstWords().map((word) => ({ word, text: summaryOf(word) })),
    ),
    ...nouns.map((noun) =>
      groupNode(
        noun,
        verbsOf(noun).map((command) => ({ word: command.path[1]!, text: command.summary })),
      ),
    ),
    ...COMMANDS.map((command): CompletionNode => {
      const words = command.operands.words ?? [];
      return {
        path: command.path.join(' '),
        words: words.map((word) => ({ word, text: '' })),
        takesFiles: command.operands.max > 0 && words.length === 0,
        flags: [...new Set<AnyFlag>([...command.flags, ...GLOBAL_FLAGS])].flatMap((name) =>
          flagOf(name, command.rows),
        ),
        steps: [],
      };
    }),
  ];
  const spellings = nodes
    .flatMap((node) => node.flags)
    .filter((flag) => flag.takesValue)
    .flatMap(spellingsOf);
  return { program, nodes, valueFlags: [...new Set(spellings)] };
}

/** A name for shell functions. */
export function functionName(program: string): string {
  return `_${program.replace(/\W/g, '_')}`;
}

export function spellingsOf(flag: CompletionFlag): string[] {
  return flag.short ? [flag.long, flag.short] : [flag.long];
}

function summaryOf(word: string): string {
  return NOUNS[word] ?? COMMANDS.find((command) => command.path[0] === word)!.summary;
}

function groupNode(path: string, words: readonly CompletionWord[]): CompletionNode {
  const names = words.map((item) => item.word);
  const steps = names.map((name) => ({
    prefixes: prefixesOf(name, names),
    path: path === '' ? name : `${path} ${name}`,
  }));
  return { path, words, takesFiles: false, flags: GLOBAL_FLAGS.flatMap((name) => flagOf(name)), steps };
}

function prefixesOf(name: string, names: readonly string[]): string[] {
  const prefixes: string[] = [];
  for (let size = 1; size <= name.length; size++) {
    const prefix = name.slice(0, size);
    const isAmbiguous = names.some((other) => other !== name && other.startsWith(prefix));
    if (!isAmbiguous || prefix === name) prefixes.push(prefix);
  }
  return prefixes;
}

function flagOf(name: AnyFlag, rows?: FlagRows): CompletionFlag[] {
  const row = flagRow(name, rows);
  if (row.isHidden) return [];
  return [
    {
      long: flagText(name),
      text: row.text,
      takesValue: row.kind !== 'boolean',
      values: row.words ?? [],
      ...(row.short ? { short: `-${row.short}` } : {}),
    },
  ];
}
