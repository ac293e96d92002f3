/**
 * Reads a command line the way cobra and pflag do: which command is meant (unambiguous prefixes count), which
 * words are its operands, and every flag in one canonical spelling, `--name=value`. Judges the grammar; what the
 * values mean is judged later.
 */
import { UsageError } from '../errors.ts';
import { abbreviatedWords, COMMANDS, type CommandRow, firstWords, verbsOf } from './commands.ts';
import {
  type AnyFlag,
  FLAGS,
  type FlagName,
  flagRow,
  flagText,
  GLOBAL_FLAGS,
  invalidValue,
  isFlagName,
} from './flags.ts';

export interface Scan {
  /** The command; absent when the words name none, or only a noun. */
  command?: CommandRow;
  /** The words that were understood, in full. */
  path: readonly string[];
  /** Flags as `--name=value`, in the order given. */
  flags: readonly string[];
  operands: readonly string[];
  wantsHelp: boolean;
  /** The last value of the flag that chooses the style. */
  compat?: string;
  /** The first thing that does not fit. */
  problem?: UsageError;
}

interface Flag {
  name: AnyFlag;
  value: string;
}

/** Flags and words of a command line, before it is known what command it is. */
interface Parts {
  words: string[];
  flags: Flag[];
  problems: UsageError[];
}

/** Scans the arguments after the program's own name. Never throws: see {@link Scan.problem}. */
export function scan(argv: readonly string[], program: string): Scan {
  const parts = split(argv);
  let { words } = parts;
  let wantsHelp = parts.flags.some((flag) => flag.name === 'help' && flag.value === 'true');
  if (words[0] === 'help') {
    words = words.slice(1);
    wantsHelp = true;
  }

  const found = findCommand(words, program);
  const { command } = found;
  const known: readonly AnyFlag[] = [...GLOBAL_FLAGS, ...(command?.flags ?? [])];
  const foreign = parts.flags.find((flag) => !known.includes(flag.name));
  if (foreign && command) parts.problems.push(unknownFlag(flagText(foreign.name)));

  const problem = found.problem ?? parts.problems[0];
  const compat = parts.flags.findLast((flag) => flag.name === 'compat')?.value;
  return {
    path: found.path,
    flags: parts.flags.map((flag) => `${flagText(flag.name)}=${flag.value}`),
    operands: words.slice(found.path.length),
    wantsHelp,
    ...(command ? { command } : {}),
    ...(compat === undefined ? {} : { compat }),
    ...(problem ? { problem } : {}),
  };
}

function split(argv: readonly string[]): Parts {
  const parts: Parts = { words: [], flags: [], problems: [] };
  let i = 0;
  const next = (): string | undefined => argv[i++];
  for (let word = next(); word !== undefined; word = next()) {
    if (word === '--') {
      parts.words.push(...argv.slice(i));
      break;
    }
    if (word.startsWith('--')) splitLong(word, next, parts);
    else if (word.startsWith('-') && word !== '-') splitShort(word, next, parts);
    else parts.words.push(word);
  }
  return parts;
}

function splitLong(word: string, next: () => string | undefined, parts: Parts): void {
  const equals = word.indexOf('=');
  const name = word.slice(2, equals < 0 ? undefined : equals);
  if (!isFlagName(name)) {
    parts.problems.push(unknownFlag(`--${name}`));
    return;
  }
  const given = equals < 0 ? undefined : word.slice(equals + 1);
  if (flagRow(name).kind === 'boolean') {
    addBoolean(name, given, parts);
    return;
  }
  const value = given ?? next();
  if (value === undefined) parts.problems.push(new UsageError('usage', `flag needs an argument: ${word}`));
  else parts.flags.push({ name, value });
}

/** `-w json`, `-w=json`, `-wjson`, and booleans run together. */
function splitShort(word: string, next: () => string | undefined, parts: Parts): void {
  for (let at = 1; at < word.length; at++) {
    const letter = word[at]!;
    const name = flagOfLetter(letter);
    const rest = word.slice(at + 1);
    if (name === undefined) {
      parts.problems.push(new UsageError('usage', `unknown shorthand flag: '${letter}' in ${word}`));
      return;
    }
    if (flagRow(name).kind === 'boolean') {
      if (!rest.startsWith('=')) {
        addBoolean(name, undefined, parts);
        continue;
      }
      addBoolean(name, rest.slice(1), parts);
      return;
    }
    const value = rest === '' ? next() : rest.replace(/^=/, '');
    if (value === undefined) {
      parts.problems.push(new UsageError('usage', `flag needs an argument: '${letter}' in ${word}`));
    } else parts.flags.push({ name, value });
    return;
  }
}

const TRUE = ['1', 't', 'T', 'TRUE', 'true', 'True'];
const FALSE = ['0', 'f', 'F', 'FALSE', 'false', 'False'];

function addBoolean(name: AnyFlag, given: string | undefined, parts: Parts): void {
  if (given === undefined || TRUE.includes(given)) parts.flags.push({ name, value: 'true' });
  else if (FALSE.includes(given)) parts.flags.push({ name, value: 'false' });
  else {
    const go = `strconv.ParseBool: parsing ${JSON.stringify(given)}: invalid syntax`;
    parts.problems.push(invalidValue(name, given, { native: 'is neither true nor false', go }));
  }
}

function unknownFlag(flag: string): UsageError {
  return new UsageError('usage', `unknown flag: ${flag}`);
}

function flagOfLetter(letter: string): FlagName | undefined {
  return (Object.keys(FLAGS) as FlagName[]).find((name) => flagRow(name).short === letter);
}

interface Found {
  command?: CommandRow;
  path: string[];
  problem?: UsageError;
}

function findCommand(words: readonly string[], program: string): Found {
  const [first, second] = words;
  if (first === undefined) return { path: [] };
  const noun = firstWords().includes(first) ? first : pick(first, abbreviatedWords(program));
  if (noun === undefined) return { path: [], problem: unknownCommand(first, [program], firstWords()) };

  const single = COMMANDS.find((command) => command.path[0] === noun && command.path.length === 1);
  if (single) return { command: single, path: [noun] };
  if (second === undefined) return { path: [noun] };

  const verbs = verbsOf(noun).map((command) => command.path[1]!);
  const verb = pick(second, verbs);
  if (verb === undefined) return { path: [noun], problem: unknownCommand(second, [program, noun], verbs) };
  const command = verbsOf(noun).find((candidate) => candidate.path[1] === verb)!;
  return { command, path: [noun, verb] };
}

/** The name itself, or the only one that begins so. */
function pick(word: string, names: readonly string[]): string | undefined {
  if (names.includes(word)) return word;
  const matches = names.filter((name) => name.startsWith(word));
  return matches.length === 1 ? matches[0] : undefined;
}

function unknownCommand(word: string, parents: readonly string[], names: readonly string[]): UsageError {
  const near = names.filter((name) => word !== '' && name.startsWith(word));
  const parent = parents.join(' ');
  const choice = near.length > 0 ? `it could be ${near.join(' or ')}; ` : '';
  return new UsageError(
    'usage.command',
    `unknown command ${JSON.stringify(word)} for ${JSON.stringify(parent)}`,
    {
      hint: `${choice}run ${parent} ${flagText('help')}`,
    },
  );
}
