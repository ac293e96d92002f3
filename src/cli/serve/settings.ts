/**
 * The settings of a server as they were given, whatever gave them: flags, environment variables, or a configuration
 * file in the place of both, as etcd 3.6 has it (server/etcdmain/config.go, pkg/flags/flag.go). Refused flags end here;
 * what is taken without effect is noted, and nothing is passed over in silence.
 */
import { UnsupportedError, UsageError } from '../../errors.ts';
import { flagText, flagValues } from '../flags.ts';
import { readConfigFile } from './config-file.ts';
import {
  isServeFlag,
  OWN_FLAGS,
  SERVE_FLAG_NAMES,
  SERVE_FLAGS,
  type ServeFlag,
  variableOf,
} from './flags.ts';

/** A text, and what messages call the place it came from: `--name`, `ETCD_NAME`, `name in etcd.yml`. */
export interface Setting {
  text: string;
  origin: string;
}

/** Something to be logged once there is a log. */
export interface Note {
  level: 'info' | 'warn';
  fields: Record<string, unknown>;
  message: string;
}

/** Switches of features, by their names in `--feature-gates`. */
export type Gates = ReadonlyMap<string, boolean>;

export interface Given {
  /** Flags of the command line. */
  flags: ReadonlyMap<string, string>;
  environment: Readonly<Record<string, string | undefined>>;
}

/** Values of what was given, converted as flags are, and etcd's defaults for the rest. */
export class Settings {
  readonly #given: ReadonlyMap<ServeFlag, Setting>;
  readonly gates: Gates;
  /** Whether the settings are those of a configuration file. */
  readonly isFromFile: boolean;

  constructor(given: ReadonlyMap<ServeFlag, Setting>, gates: Gates, isFromFile: boolean) {
    this.#given = given;
    this.gates = gates;
    this.isFromFile = isFromFile;
  }

  isGiven(name: ServeFlag): boolean {
    return this.#given.has(name);
  }

  /** `--name` or what else it was given by, for messages. */
  origin(name: ServeFlag): string {
    return this.#given.get(name)?.origin ?? flagText(name);
  }

  text(name: ServeFlag): string | undefined {
    return this.#value(name) as string | undefined;
  }

  /** For a row with a default. */
  integer(name: ServeFlag): number {
    return this.#value(name) as number;
  }

  /** Milliseconds; undefined when it was not given and has no default. */
  duration(name: ServeFlag): number | undefined {
    return this.#value(name) as number | undefined;
  }

  boolean(name: ServeFlag): boolean {
    return this.#value(name) as boolean;
  }

  list(name: ServeFlag): readonly string[] {
    return this.#value(name) as readonly string[];
  }

  #value(name: ServeFlag): unknown {
    return convert(name, this.#given.get(name));
  }
}

function convert(name: ServeFlag, setting: Setting | undefined): unknown {
  const raw = setting === undefined ? {} : { [name]: setting.text };
  try {
    return (flagValues([name], raw, SERVE_FLAGS) as Record<string, unknown>)[name];
  } catch (error) {
    if (!(error instanceof UsageError) || setting === undefined) throw error;
    throw new UsageError('usage', error.message.replace(flagText(name), setting.origin), { cause: error });
  }
}

/** Everything that was given, and what is to be said of it. */
export function collectSettings(given: Given): { settings: Settings; notes: Note[] } {
  const notes: Note[] = [];
  const file = given.flags.get('config-file') || given.environment[variableOf('config-file')] || undefined;
  const raw = file === undefined ? fromFlags(given, notes) : fromFile(file, given, notes);
  const gates = new Map<string, boolean>();
  const settled = new Map<ServeFlag, Setting>();
  for (const [name, setting] of raw) settle(name, setting, { raw, settled, gates, notes });
  readGates(settled.get('feature-gates'), gates);
  return { settings: new Settings(settled, gates, file !== undefined), notes };
}

function fromFlags({ flags, environment }: Given, notes: Note[]): Map<ServeFlag, Setting> {
  const found = new Map<ServeFlag, Setting>();
  const known = new Set<string>();
  for (const name of SERVE_FLAG_NAMES) {
    const variable = variableOf(name);
    const text = flags.get(name);
    const isOwn = OWN_FLAGS.includes(name) || name === 'version';
    if (!isOwn) known.add(variable);
    if (text !== undefined) {
      if (!isOwn && environment[variable] !== undefined) throw shadowed(variable);
      found.set(name, { text, origin: flagText(name) });
      continue;
    }
    const value = isOwn ? undefined : environment[variable];
    if (value === undefined || value === '') continue;
    found.set(name, { text: checkedVariable(name, value), origin: variable });
    const fields = { 'variable-name': variable, 'variable-value': value };
    notes.push({ level: 'info', fields, message: 'recognized and used environment variable' });
  }
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith('ETCD_') || known.has(variable) || value === undefined) continue;
    // Differs from etcd, which logs the value too: images keep passwords under such names.
    const fields = { 'environment-variable': variable };
    notes.push({ level: 'warn', fields, message: 'unrecognized environment variable' });
  }
  return found;
}

function shadowed(variable: string): UsageError {
  return new UsageError(
    'usage',
    `conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable or disable flag)): ${variable}`,
  );
}

const GO_BOOLEANS = ['1', 't', 'T', 'TRUE', 'true', 'True', '0', 'f', 'F', 'FALSE', 'false', 'False'];

/** A boolean in the spelling that flags are brought into by the scan of the command line. */
function checkedVariable(name: ServeFlag, value: string): string {
  if (SERVE_FLAGS[name].kind !== 'boolean') return value;
  const at = GO_BOOLEANS.indexOf(value);
  if (at < 0)
    throw new UsageError(
      'usage',
      `invalid value ${JSON.stringify(value)} for ${variableOf(name)}: it is neither true nor false`,
    );
  return at < 6 ? 'true' : 'false';
}

function fromFile(file: string, { flags, environment }: Given, notes: Note[]): Map<ServeFlag, Setting> {
  const { settings, unknown } = readConfigFile(file);
  for (const name of OWN_FLAGS) {
    const text = flags.get(name);
    if (text !== undefined) settings.set(name, { text, origin: flagText(name) });
  }
  notes.push({
    level: 'info',
    fields: { path: file },
    message:
      'loaded server configuration, other configuration command line flags and environment variables will be ignored if provided',
  });
  const passedOver = [...flags.keys()].filter(
    (name) => isServeFlag(name) && name !== 'config-file' && !OWN_FLAGS.includes(name),
  );
  const variables = SERVE_FLAG_NAMES.map(variableOf).filter((name) => environment[name]);
  const ignored = [...passedOver.map((name) => `--${name}`), ...variables].filter(
    (name) => name !== variableOf('config-file'),
  );
  if (ignored.length > 0)
    notes.push({
      level: 'warn',
      fields: { ignored },
      message: 'ignored in favour of the configuration file',
    });
  for (const key of unknown)
    notes.push({ level: 'warn', fields: { key, path: file }, message: 'unknown key in configuration file' });
  return settings;
}

interface Settling {
  raw: ReadonlyMap<ServeFlag, Setting>;
  settled: Map<ServeFlag, Setting>;
  gates: Map<string, boolean>;
  notes: Note[];
}

/** Follows a row's treatment. */
function settle(name: ServeFlag, setting: Setting, into: Settling): void {
  const { treatment } = SERVE_FLAGS[name];
  switch (treatment.kind) {
    case 'alias':
      settleAlias(name, treatment.of as ServeFlag, into);
      return;
    case 'gate':
      settleGate(name, treatment.of, into);
      return;
    case 'refused':
      if (treatment.harmless.includes(setting.text)) return;
      throw new UnsupportedError('server.config', `${setting.origin}: ${treatment.reason}`);
    case 'idle':
      convert(name, setting);
      into.notes.push({
        level: 'info',
        fields: { setting: setting.origin, value: setting.text, reason: treatment.reason },
        message: 'setting has no effect',
      });
      return;
    default:
      into.settled.set(name, setting);
  }
}

function settleAlias(name: ServeFlag, of: ServeFlag, into: Settling): void {
  if (into.raw.has(of)) {
    throw new UsageError(
      'usage',
      `cannot set ${flagText(name)} and ${flagText(of)} at the same time, please use ${flagText(of)} only`,
    );
  }
  into.notes.push(deprecated(name, flagText(of)));
  settle(of, into.raw.get(name)!, into);
}

function settleGate(name: ServeFlag, of: string, into: Settling): void {
  const { text } = into.raw.get(name)!;
  const other = into.raw.get('feature-gates')?.text ?? '';
  if (other.includes(of)) {
    const both = `${flagText(name)}=${text} and ${flagText('feature-gates')}=${other}`;
    throw new UsageError(
      'usage',
      `cannot specify both flags: ${both} at the same time, please just use ${flagText('feature-gates')}`,
    );
  }
  into.notes.push(deprecated(name, `${flagText('feature-gates')}=${of}=${text}`));
  into.gates.set(of, text === 'true');
}

function deprecated(name: ServeFlag, instead: string): Note {
  const message = `${flagText(name)} is deprecated; use ${instead} instead`;
  return { level: 'warn', fields: {}, message };
}

/** `Name=true,Other=false`. etcd v3.6 pkg/featuregate. */
function readGates(setting: Setting | undefined, gates: Map<string, boolean>): void {
  for (const part of setting?.text.split(',') ?? []) {
    if (part.trim() === '') continue;
    const [name = '', value] = part.split('=').map((text) => text.trim());
    if (value === undefined) throw new UsageError('usage', `missing bool value for ${name}`);
    const at = GO_BOOLEANS.indexOf(value);
    if (at < 0)
      throw new UsageError('usage', `invalid value of ${name}=${value}: it is neither true nor false`);
    gates.set(name, at < 6);
  }
}
