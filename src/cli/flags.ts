/**
 * Every flag of every command, as data: parsing, help, completion and the texts that name a flag all come from
 * here. A name means the same thing and takes the same kind of value wherever it occurs.
 */
import { UsageError } from '../errors.ts';
import { parseDuration } from '../bytes/duration.ts';
import { SERVE_FLAGS, type ServeFlag } from './serve/flags.ts';

interface FlagBase {
  /** One line of help. */
  text: string;
  /** One letter, for `-w`. */
  short?: string;
  /** Values offered by help and completion. */
  words?: readonly string[];
  /** Taken, but not advertised. */
  isHidden?: boolean;
  /** The heading in help under which it stands. */
  group?: string;
}

/** Defaults are written as the user would; a flag of one value without a default may be undefined. */
export type FlagRow = FlagBase &
  (
    | { kind: 'text'; default?: string }
    | { kind: 'choice'; words: readonly string[]; default?: string }
    | { kind: 'boolean'; default?: string }
    | { kind: 'integer'; min?: number; default?: string }
    | { kind: 'duration'; default?: string }
    | { kind: 'list'; default?: string }
  );

/** Rows that read otherwise for one command than in {@link FLAGS}, or that only it has. */
export type FlagRows = Readonly<Record<string, FlagRow>>;

export const FLAGS = {
  'write-out': {
    kind: 'text',
    short: 'w',
    words: ['simple', 'table', 'json', 'fields'],
    default: 'simple',
    text: 'Output format',
  },
  timeout: {
    kind: 'duration',
    default: '10s',
    text: 'Time to wait for a lock that another process holds; 0 waits for ever',
  },
  'log-level': {
    kind: 'choice',
    words: ['debug', 'info', 'warn', 'error'],
    text: 'Least severe messages on stderr (warn; under compat info)',
  },
  'log-format': {
    kind: 'choice',
    words: ['console', 'json'],
    default: 'console',
    text: 'How messages are logged',
  },
  compat: {
    kind: 'text',
    words: ['3.5', '3.6', '3.7'],
    text: 'Output, texts and exit codes as this etcdutl (also by ETCDKIT_COMPAT, or the name etcdutl)',
  },
  help: { kind: 'boolean', short: 'h', text: 'Show help' },

  rev: {
    kind: 'integer',
    min: 0,
    default: '0',
    text: 'Highest revision to hash; 0 is the newest',
  },

  quick: { kind: 'boolean', text: 'Check the digest alone, and the metas' },
  layers: {
    kind: 'list',

    words: ['file', 'pages', 'content', 'schema', 'log'],
    text: 'Layers to check, separated by commas (default: all of them)',
  },
  json: { kind: 'boolean', text: 'The same as --write-out json' },
  'wal-dir': { kind: 'text', text: 'Where the log is, when it is not in the data directory' },

  'data-dir': { kind: 'text', text: 'Data directory of etcd, the one that holds member/' },
  output: { kind: 'text', short: 'o', text: 'Where to write the result; must not exist' },
  'in-place': { kind: 'boolean', text: 'Replace the file itself, once the result has been read back' },
  'dry-run': { kind: 'boolean', text: 'Go through everything and say what would come out, without writing' },
  'no-lock': {
    kind: 'boolean',
    text: 'Go on where this host cannot lock a file; make sure that no etcd runs on it',
  },

  endpoints: {
    kind: 'list',
    text: 'The running server to ask, http://host:port (also by ETCDCTL_ENDPOINTS)',
  },
  'dial-timeout': { kind: 'duration', default: '5s', text: 'Time to wait for a connection' },
  cacert: { kind: 'text', text: 'Certificates of the authorities that may vouch for the server, as PEM' },
  cert: { kind: 'text', text: 'Certificate to show to the server, as PEM' },
  key: { kind: 'text', text: 'Key of that certificate' },
  'insecure-skip-tls-verify': { kind: 'boolean', text: 'Take any certificate of the server' },

  user: {
    kind: 'text',
    text: 'Who asks, name or name:password (also by ETCDCTL_USER); a backup is for root',
  },
  password: {
    kind: 'text',
    text: 'The password, when it is not with the name (better by ETCDCTL_PASSWORD: others see a command line)',
  },

  name: { kind: 'text', text: 'Name of this member (default: default)' },
  'initial-cluster': {
    kind: 'text',
    text: 'Members of the new cluster, name=url,… (default: default=http://localhost:2380)',
  },
  'initial-cluster-token': { kind: 'text', text: 'Token of the new cluster (default: etcd-cluster)' },
  'initial-advertise-peer-urls': {
    kind: 'text',
    text: "This member's peer URLs, as the cluster has them (default: http://localhost:2380)",
  },
  'skip-hash-check': { kind: 'boolean', text: 'Take a file without SHA-256, or with a wrong one' },
  'initial-memory-map-size': {
    kind: 'integer',
    min: 0,
    text: 'Taken for the sake of scripts; nothing is mapped, so it has no meaning',
  },
  'bump-revision': {
    kind: 'text',
    text: 'How far to raise the revision; auto finds it from the old data directory',
  },
  'mark-compacted': {
    kind: 'boolean',
    text: 'Mark the raised revision as compacted; goes with a raised one',
  },
  'old-data-dir': { kind: 'text', text: 'A surviving data directory of the old cluster, only read' },
  learner: { kind: 'list', text: 'Member that does not vote; may be given several times' },
  'all-members': { kind: 'text', text: 'Restore every member of the cluster, each into <name>.etcd in here' },
  'preserve-layout': { kind: 'boolean', text: 'Copy page for page instead of packing' },
  owner: { kind: 'text', text: 'Whose the result is to be: uid:gid or name (default: as its directory)' },
  'target-version': {
    kind: 'text',
    words: ['3.4', '3.5', '3.6', '3.7'],
    text: 'The etcd that will run on the result',
  },
  force: { kind: 'boolean', text: 'Go on where the migration, or the etcd it is for, would not have it' },
  'fix-cluster-version': {
    kind: 'boolean',
    text: 'Lower the cluster version and take a snapshot of the membership, where the target needs it',
  },
} as const satisfies Record<string, FlagRow>;

export type FlagName = keyof typeof FLAGS;

/** A flag of the offline commands, or one of the server's. */
export type AnyFlag = FlagName | ServeFlag;

/** Flags that every command takes. */
export const GLOBAL_FLAGS = ['write-out', 'timeout', 'log-level', 'log-format', 'compat', 'help'] as const;
export type GlobalFlag = (typeof GLOBAL_FLAGS)[number];

interface KindValues {
  text: string;
  choice: string;
  boolean: boolean;
  integer: number;
  /** Milliseconds. */
  duration: number;
  list: readonly string[];
}

type ValueOf<R extends FlagRow> =
  | (R extends { kind: 'choice' } ? R['words'][number] : KindValues[R['kind']])
  | (R extends { default: string } | { kind: 'boolean' | 'list' } ? never : undefined);

/** Values of all flags, judged and converted. */
export type FlagValues = { -readonly [N in FlagName]: ValueOf<(typeof FLAGS)[N]> };

/** Texts as the command line gave them; absent flags are absent. */
export type RawFlags = Partial<Record<string, string | boolean | readonly string[]>>;

/** The row of a flag, as the command with `rows` of its own has it. */
export function flagRow(name: AnyFlag, rows?: FlagRows): FlagRow {
  return rows?.[name] ?? (isOfflineFlag(name) ? FLAGS[name] : SERVE_FLAGS[name]);
}

function isOfflineFlag(name: string): name is FlagName {
  return Object.hasOwn(FLAGS, name);
}

/** Whether any command has such a flag. */
export function isFlagName(name: string): name is AnyFlag {
  return isOfflineFlag(name) || Object.hasOwn(SERVE_FLAGS, name);
}

/** `--write-out`, for messages. */
export function flagText(name: AnyFlag): string {
  return `--${name}`;
}

/** Judges and converts the values of `names`; flags that were not given get their defaults. */
export function flagValues(names: readonly AnyFlag[], raw: RawFlags, rows?: FlagRows): FlagValues {
  const values: Record<string, unknown> = {};
  for (const name of names) {
    const row = flagRow(name, rows);
    const given = raw[name];
    // Given twice, the last one counts.
    const last = typeof given === 'object' ? given.at(-1) : given;
    if (row.kind === 'boolean') values[name] = String(last ?? row.default) === 'true';
    else if (row.kind === 'list') values[name] = splitList(given ?? row.default);
    else {
      const text = last ?? row.default;
      values[name] = text === undefined ? undefined : readValue(name, row, String(text));
    }
  }
  return values as FlagValues;
}

function splitList(given: RawFlags[string]): string[] {
  const texts = given === undefined ? [] : typeof given === 'object' ? given : [String(given)];
  return texts.flatMap((text) => (text === '' ? [] : text.split(',')));
}

function readValue(name: AnyFlag, row: FlagRow, text: string): string | number {
  switch (row.kind) {
    case 'integer':
      return readInteger(name, text, row.min);
    case 'duration':
      return readDuration(name, text);
    case 'choice':
      if (!row.words.includes(text)) {
        throw new UsageError(
          'usage',
          `${flagText(name)} takes ${row.words.join(', ')}, not ${JSON.stringify(text)}`,
        );
      }
      return text;
    default:
      return text;
  }
}

/** `flagText` with its letter, as pflag names a flag whose value does not fit. */
function pflagName(name: AnyFlag): string {
  const { short } = flagRow(name);
  return short ? `-${short}, ${flagText(name)}` : flagText(name);
}

/** A value that does not fit, natively and in the words of Go's pflag. */
export function invalidValue(name: AnyFlag, text: string, words: { native: string; go: string }): UsageError {
  return new UsageError('usage', `${flagText(name)}: ${JSON.stringify(text)} ${words.native}`, {
    upstream: `invalid argument ${JSON.stringify(text)} for ${JSON.stringify(pflagName(name))} flag: ${words.go}`,
  });
}

const GO_INTEGER = /^[+-]?(?:0x[0-9a-f]+|0b[01]+|0o?[0-7]+|[1-9]\d*|0)$/i;
const INT64_MAX = 2n ** 63n - 1n;

function readInteger(name: AnyFlag, text: string, min: number | undefined): number {
  const go = (why: string): string => `strconv.ParseInt: parsing ${JSON.stringify(text)}: ${why}`;
  if (!GO_INTEGER.test(text)) {
    throw invalidValue(name, text, { native: 'is not a whole number', go: go('invalid syntax') });
  }
  const sign = text.startsWith('-') ? -1n : 1n;
  const digits = text.replace(/^[+-]/, '').replace(/^0(?=[0-7])/, '0o');
  const value = sign * BigInt(digits);
  if (value > INT64_MAX || value < -INT64_MAX - 1n) {
    throw invalidValue(name, text, { native: 'does not fit into 64 bits', go: go('value out of range') });
  }
  if (!Number.isSafeInteger(Number(value))) {
    throw invalidValue(name, text, { native: 'is beyond any real file', go: go('value out of range') });
  }
  if (min !== undefined && value < min) {
    throw invalidValue(name, text, { native: `is less than ${min}`, go: go('value out of range') });
  }
  return Number(value);
}

function readDuration(name: AnyFlag, text: string): number {
  const value = parseDuration(text);
  if (typeof value === 'number' && value >= 0) return value;
  const go = typeof value === 'number' ? `time: invalid duration ${JSON.stringify(text)}` : value.problem;
  throw invalidValue(name, text, { native: 'is not a duration such as 10s, 1m30s or 500ms', go });
}
