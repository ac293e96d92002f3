/**
 * One run of the program, from the command line to an exit code: scan, options, the command, and what is said
 * when it fails.
 */
import { UsageError } from '../errors.ts';
import type { Call } from './call.ts';
import { type CommandRow, nameOf } from './commands.ts';
import { describeError, endingOf, exitCodeOf } from './exit.ts';
import { type AnyFlag, type FlagName, type FlagValues, flagText, flagValues, GLOBAL_FLAGS } from './flags.ts';
import { clearProgress, writeError, writeOut } from './output.ts';
import { scan, type Scan } from './scan.ts';
import { chooseStyle, COMPAT_VARIABLE, type Style, styleOf } from './style.ts';

export interface Invocation {
  /** Arguments after the program's name. */
  argv: readonly string[];
  /** Path the program was started by. */
  programPath: string;
  environment: Readonly<Record<string, string | undefined>>;
}

/** Runs the command; never throws. */
export async function run(invocation: Invocation): Promise<number> {
  const state: { style: Style; scan?: Scan; isVerbose: boolean } = {
    style: styleOf(undefined),
    isVerbose: false,
  };
  try {
    const { argv, programPath, environment } = invocation;
    const surroundings = { programPath, variable: environment[COMPAT_VARIABLE] };
    const flag = scan(argv, 'etcdkit').compat;
    state.style = chooseStyle({ ...surroundings, flag });
    state.scan = scan(isVersionFlag(argv) ? ['version'] : argv, state.style.program);
    state.isVerbose = state.scan.flags.includes(`${flagText('log-level')}=debug`);
    return await runScanned(state.scan, state.style, environment);
  } catch (error) {
    writeError(describeError(error, state.style, state.isVerbose));
    if (!state.style.compat) suggestHelp(error, state.scan);
    if (state.style.compat && state.scan) await repeatAsCobra(error, state.scan, state.style);
    return exitCodeOf(endingOf(error), state.style, error);
  }
}

/** `--version` alone, as other programs have it. */
function isVersionFlag(argv: readonly string[]): boolean {
  return argv.length === 1 && argv[0] === '--version';
}

async function runScanned(scan: Scan, style: Style, environment: Invocation['environment']): Promise<number> {
  // Cobra answers an unknown verb with the help of its noun.
  const isUnknownVerb = scan.problem?.code === 'usage.command' && scan.path.length > 0;
  if (scan.problem && !(style.compat && isUnknownVerb)) throw scan.problem;
  const { command } = scan;
  if (command === undefined || scan.wantsHelp) {
    const { helpText } = await import('./parse.ts');
    writeOut(await helpText(scan, style.program));
    return exitCodeOf('good', style);
  }

  const flags = await readFlags(command, scan);
  checkOperands(command, scan.operands, style);
  checkRequired(command, scan);
  const [operand] = scan.operands;
  if (command.isHashed && operand !== undefined) (await import('../bytes/sha256.ts')).prepareSha256(operand);
  const runCommand = await command.load();
  const ending = await runCommand({
    operands: scan.operands,
    flags,
    given: new Map(scan.flags.map(splitFlag)),
    environment,
    style,
    context: () => openContext(command, flags, style),
  } satisfies Call<FlagName>);
  clearProgress();
  return exitCodeOf(ending ?? 'good', style);
}

function splitFlag(flag: string): [name: string, value: string] {
  const equals = flag.indexOf('=');
  return [flag.slice(2, equals), flag.slice(equals + 1)];
}

async function openContext(
  command: CommandRow,
  flags: FlagValues,
  style: Style,
): ReturnType<Call['context']> {
  const { makeContext } = await import('./context.ts');
  return makeContext({ flags, style, caller: command.path.join('/') });
}

/** Without flags there is nothing to parse, and yargs, half of the start-up time, stays unloaded. */
async function readFlags(command: CommandRow, scan: Scan): Promise<FlagValues> {
  const names = [...new Set<AnyFlag>([...GLOBAL_FLAGS, ...command.flags])];
  if (scan.flags.length === 0) return flagValues(names, {}, command.rows);
  const { parseFlags } = await import('./parse.ts');
  return flagValues(names, await parseFlags(scan, names), command.rows);
}

function checkOperands(command: CommandRow, operands: readonly string[], style: Style): void {
  const { min, max, upstream } = command.operands;
  if (operands.length >= min && operands.length <= max) return;
  if (style.compat && upstream === 'ignore') return;
  const message = `${nameOf(command)} ${countText(min, max)}`;
  if (upstream === 'own') throw new UsageError('usage.arguments', message);
  throw new UsageError('usage', message, { upstream: `accepts ${max} arg(s), received ${operands.length}` });
}

function countText(min: number, max: number): string {
  if (max === 0) return 'takes no arguments';
  if (min === 1 && max === 1) return 'requires exactly one argument';
  if (min === max) return `requires exactly ${min} arguments`;
  return max === Infinity ? 'requires at least one argument' : `requires ${min} to ${max} arguments`;
}

function checkRequired(command: CommandRow, scan: Scan): void {
  const isGiven = (name: FlagName): boolean =>
    scan.flags.some((flag) => flag.startsWith(`${flagText(name)}=`));
  const missing = (command.required ?? []).filter((name) => !isGiven(name)).sort();
  if (missing.length === 0) return;
  const quoted = missing.map((name) => JSON.stringify(name)).join(', ');
  throw new UsageError('usage', `${nameOf(command)} needs ${missing.map(flagText).join(' and ')}`, {
    upstream: `required flag(s) ${quoted} not set`,
  });
}

function suggestHelp(error: unknown, scan: Scan | undefined): void {
  if (!(error instanceof UsageError) || error.hint) return;
  writeError(`  hint: run ${['etcdkit', ...(scan?.path ?? []), flagText('help')].join(' ')}\n`);
}

/** etcdutl prints what cobra itself found wrong a second time, with usage between. */
async function repeatAsCobra(error: unknown, scan: Scan, style: Style): Promise<void> {
  if (!(error instanceof UsageError)) return;
  if (error.code === 'usage.command') writeError(`Run '${style.program} ${flagText('help')}' for usage.\n`);
  else if (error.code === 'usage') {
    const { helpText } = await import('./parse.ts');
    writeError(`${await helpText(scan, style.program)}\n`);
  } else return;
  writeError(describeError(error, style));
}
