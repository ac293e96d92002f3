/** yargs: takes the canonical flags of a scan apart, and writes help. Loaded only when there is either to do. */
import yargs, { type Argv } from 'yargs';
import { COMMANDS, type CommandRow, firstWords, nameOf, NOUNS, verbsOf } from './commands.ts';
import { type AnyFlag, flagRow, type FlagRows, flagText, GLOBAL_FLAGS, type RawFlags } from './flags.ts';
import type { Scan } from './scan.ts';

const HELP_WIDTH = 100;

/** Texts of the flags that were given. */
export async function parseFlags(scan: Scan, names: readonly AnyFlag[]): Promise<RawFlags> {
  const parser = bareParser();
  for (const name of names) {
    const { kind } = flagRow(name);
    parser.option(name, { type: kind === 'boolean' ? 'boolean' : 'string', array: kind === 'list' });
  }
  const { _: _words, $0: _program, ...flags } = await parser.parseAsync(scan.flags.map(keepQuotes));
  return flags as RawFlags;
}

/** yargs takes a pair of quotes off a value; the shell has already taken those that were meant for it. */
function keepQuotes(flag: string): string {
  const equals = flag.indexOf('=');
  const value = flag.slice(equals + 1);
  return /^(["']).*\1$/s.test(value) ? `${flag.slice(0, equals)}="${value}"` : flag;
}

function bareParser(): Argv {
  return yargs([])
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'strip-aliased': true,
    })
    .detectLocale(false)
    .exitProcess(false)
    .fail(false)
    .version(false)
    .help(false)
    .wrap(HELP_WIDTH);
}

/** Help for a command, a noun, or (no words) the program. */
export async function helpText(scan: Scan, program: string): Promise<string> {
  const help = bareParser().scriptName([program, scan.command ? '' : scan.path[0]].join(' ').trim());
  if (scan.command) describeCommand(help, scan.command, program);
  else describeGroup(help, scan.path[0], program);
  const own: readonly AnyFlag[] = scan.command?.flags ?? [];
  describeFlags(
    help,
    GLOBAL_FLAGS.filter((name) => !own.includes(name)),
    'Global flags:',
  );
  return `${await help.getHelp()}\n`;
}

function describeCommand(help: Argv, command: CommandRow, program: string): void {
  const usage = [program, nameOf(command), command.operands.usage, '[flags]'].filter((part) => part !== '');
  help.usage(
    [usage.join(' '), '', command.summary, ...(command.detail ? ['', command.detail] : [])].join('\n'),
  );
  describeFlags(help, command.flags, 'Flags:', command.rows);
  for (const name of command.required ?? []) help.demandOption(name);
  help.epilogue(exampleText([command], program));
}

function describeGroup(help: Argv, noun: string | undefined, program: string): void {
  const about = noun === undefined ? 'Recovery and maintenance of etcd data, offline' : NOUNS[noun];
  const words = noun === undefined ? [program] : [program, noun];
  help.usage([[...words, '<command> [flags]'].join(' '), '', about].join('\n'));
  const commands = noun === undefined ? COMMANDS : verbsOf(noun);
  if (noun === undefined) for (const word of firstWords()) help.command(word, summaryOf(word));
  else for (const command of commands) help.command(command.path[1]!, command.summary);
  const more = `${words.join(' ')} <command> ${flagText('help')} tells more about a command.`;
  help.epilogue(`${exampleText(commands, program)}\n\n${more}`);
}

/** Not yargs' own examples: it would break a long command line in two. */
function exampleText(commands: readonly CommandRow[], program: string): string {
  const examples = commands.flatMap(({ examples }) =>
    commands.length > 1 ? examples.slice(0, 1) : examples,
  );
  return ['Examples:', ...examples.map(([line, purpose]) => `  # ${purpose}\n  ${program} ${line}`)].join(
    '\n',
  );
}

function summaryOf(word: string): string {
  return NOUNS[word] ?? COMMANDS.find((command) => command.path[0] === word)!.summary;
}

function describeFlags(help: Argv, names: readonly AnyFlag[], group: string, rows?: FlagRows): void {
  for (const name of names) {
    const row = flagRow(name, rows);
    if (row.isHidden) continue;
    const words = row.words ? `: ${row.words.join(', ')}` : '';
    help.option(name, {
      group: row.group ?? group,
      describe: `${row.text}${words}`,
      ...(row.short ? { alias: row.short } : {}),
      ...('default' in row && row.default !== undefined
        ? { default: row.default, defaultDescription: row.default }
        : {}),
    });
  }
}
