/**
 * Every command, as data. A command is one row here and one file under `commands/`, which is loaded only when the
 * command runs.
 */
import type { Command } from './call.ts';
import type { AnyFlag, FlagName, FlagRows } from './flags.ts';
import { SERVE_FLAG_NAMES, SERVE_FLAGS } from './serve/flags.ts';

export interface Operands {
  /** As usage shows them: `<file>`. */
  usage: string;
  min: number;
  max: number;
  /** Values offered by completion; without them, file names. */
  words?: readonly string[];
  /**
   * What etcdutl does when the number is wrong: `own` prints a sentence like ours and exits 128, `cobra` says
   * `accepts 1 arg(s)` and exits 1, `ignore` does not care.
   */
  upstream: 'own' | 'cobra' | 'ignore';
}

export interface CommandRow {
  path: readonly [string] | readonly [string, string];
  /** One line. */
  summary: string;
  /** What else there is to know, for `--help`. */
  detail?: string;
  operands: Operands;
  flags: readonly AnyFlag[];
  /** Flags that read otherwise here. */
  rows?: FlagRows;
  /** etcdutl has no such command: under its name a beginning of the word does not mean it. */
  isOwn?: boolean;
  required?: readonly FlagName[];
  /** Whether the SHA-256 of its first operand is computed: the thread for that starts while the command loads. */
  isHashed?: boolean;
  /** Command lines without the program's name, and what each is for. */
  examples: readonly (readonly [line: string, purpose: string])[];
  load(): Promise<Command<FlagName>>;
}

/** Holds a row to its command: every flag the command reads is one that the row takes. */
function row<const F extends FlagName>(
  fields: Omit<CommandRow, 'flags' | 'required' | 'load'> & {
    flags: readonly F[];
    required?: readonly NoInfer<F>[];
    load(): Promise<Command<NoInfer<F>>>;
  },
): CommandRow {
  return fields;
}

/** What the first words are about. */
export const NOUNS: Record<string, string> = {
  snapshot: 'Check and restore backups',
  check: 'Look for what stands in the way of an upgrade',
};

const ONE_FILE = { usage: '<file>', min: 1, max: 1 } as const;

export const COMMANDS: readonly CommandRow[] = [
  row({
    path: ['snapshot', 'status'],
    summary: 'Print hash, revision, keys, size and version of a backup or database file',
    detail:
      'Reads the file once, without a lock and without changing it. A SHA-256 that does not match the content is damage (exit code 3).',
    operands: { ...ONE_FILE, upstream: 'own' },
    isHashed: true,
    flags: [],
    examples: [
      ['snapshot status backup.db', 'summarise a backup: hash, revision, keys, size, version'],
      ['snapshot status backup.db -w json', 'the same as JSON, sizes in bytes'],
    ],
    load: async () => (await import('./commands/snapshot/status.ts')).status,
  }),
  row({
    path: ['snapshot', 'verify'],
    summary: 'Check backups, databases and data directories in full, and say which are good',
    detail:
      'Reads every byte once, without a lock and without changing anything: SHA-256, pages, every revision and value, schema, and for directories the log. Ends in one line a file: GOOD, GOOD with notes, DAMAGED, UNREADABLE or CHANGED WHILE READ. Exit code 3 when anything is damaged.',
    operands: { usage: '<file|dir>...', min: 1, max: Number.POSITIVE_INFINITY, upstream: 'own' },
    isHashed: true,
    flags: ['quick', 'layers', 'json', 'wal-dir'],
    examples: [
      ['snapshot verify backup.db', "check last night's backup"],
      ['snapshot verify /backups/*.db --quick', 'only SHA-256 and size, many at once'],
      ['snapshot verify /var/lib/etcd --json', 'a stopped member, with its log, as JSON'],
    ],
    load: async () => (await import('./commands/snapshot/verify.ts')).verify,
  }),
  row({
    path: ['snapshot', 'save'],
    summary: "Make a backup from a running server, or from a stopped member's directory with its log",
    detail:
      'From a server: what it sends is checked while it comes and verified in full, and the backup appears only then. From a directory: the database of a member lags behind its log: a copy of member/snap/db loses the last writes that were acknowledged. Here the log is applied as a server would, every record is checked, and the backup appears only when it has been verified. Where other members vote, what the log does not show to be committed is left out, and said. The directory is not changed.',
    operands: { usage: '', min: 0, max: 0, upstream: 'own' },
    flags: [
      'endpoints',
      'data-dir',
      'wal-dir',
      'output',
      'cacert',
      'cert',
      'key',
      'insecure-skip-tls-verify',
      'user',
      'password',
      'dial-timeout',
    ],
    required: ['output'],
    examples: [
      ['snapshot save --endpoints http://127.0.0.1:2379 -o backup.db', 'a server that runs'],
      ['snapshot save --data-dir /var/lib/etcd -o backup.db', 'a member that was killed, or lost its quorum'],
      [
        'snapshot save --data-dir /var/lib/etcd --wal-dir /wal -o backup.db',
        'with the log on a disk of its own',
      ],
    ],
    load: async () => (await import('./commands/snapshot/save.ts')).save,
  }),
  row({
    path: ['snapshot', 'restore'],
    summary: 'Make a data directory of a new cluster from a backup',
    detail:
      "Everything is checked while it is copied, built under a temporary name, read back, and appears only when it is whole; a run that fails leaves nothing. The directory must be absent or empty. A stopped member's directory in the place of the backup is saved first, log and all. With --target-version the schema is changed to that of another etcd.",
    operands: { usage: '<file|dir>', min: 1, max: 1, upstream: 'own' },
    isHashed: true,
    flags: [
      'data-dir',
      'wal-dir',
      'name',
      'initial-cluster',
      'initial-cluster-token',
      'initial-advertise-peer-urls',
      'all-members',
      'learner',
      'target-version',
      'dry-run',
      'skip-hash-check',
      'bump-revision',
      'mark-compacted',
      'old-data-dir',
      'preserve-layout',
      'quick',
      'owner',
      'initial-memory-map-size',
    ],
    examples: [
      ['snapshot restore backup.db --data-dir /var/lib/etcd', 'one member, as a cluster of its own'],
      [
        'snapshot restore /var/lib/etcd.lost --data-dir /var/lib/etcd',
        'from a member that survived, when the quorum is lost',
      ],
      [
        'snapshot restore b.db --all-members o --initial-cluster a=http://h1:2380,b=http://h2:2380',
        'every member in one run',
      ],
      ['snapshot restore backup.db --dry-run', 'go through everything, and say what would come out'],
      [
        'snapshot restore b.db --bump-revision auto --mark-compacted --old-data-dir /var/lib/etcd',
        'so that no client sees a revision twice',
      ],
    ],
    load: async () => (await import('./commands/snapshot/restore.ts')).restore,
  }),
  row({
    path: ['defrag'],
    summary: 'Rewrite a database without its free space',
    detail:
      'Everything is checked while it is copied, and the result is read back before it takes the place of the old file. Needs as much free disk as the result; --dry-run says how much that is.',
    operands: { usage: '[file]', min: 0, max: 1, upstream: 'ignore' },
    flags: ['data-dir', 'output', 'in-place', 'dry-run', 'no-lock'],
    examples: [
      ['defrag --data-dir /var/lib/etcd', 'a stopped member'],
      ['defrag backup.db -o small.db', 'a backup, with a new SHA-256'],
      ['defrag --data-dir /var/lib/etcd --dry-run', 'how much it would free'],
    ],
    load: async () => (await import('./commands/defrag.ts')).defrag,
  }),
  row({
    path: ['migrate'],
    summary: "Make a stopped member's files fit another version of etcd",
    detail:
      'Changes the storage version as etcdutl does, and makes sure that the target etcd starts from the result: the cluster version stands in the database, in the newest .snap file and in the log, and 3.7 cannot read v2 requests. What stands in the way is told and nothing is changed, unless --fix-cluster-version is given. Every member of a cluster needs it.',
    operands: { usage: '', min: 0, max: 0, upstream: 'ignore' },
    flags: ['data-dir', 'wal-dir', 'target-version', 'force', 'dry-run', 'fix-cluster-version', 'no-lock'],
    required: ['data-dir', 'target-version'],
    examples: [
      ['migrate --data-dir /var/lib/etcd --target-version 3.6', 'a stopped member'],
      [
        'migrate --data-dir /var/lib/etcd --target-version 3.5 --fix-cluster-version',
        'back to 3.5, whatever the cluster version is',
      ],
      ['migrate --data-dir /var/lib/etcd --target-version 3.7 --dry-run', 'what stands in the way of 3.7'],
    ],
    load: async () => (await import('./commands/migrate.ts')).migrate,
  }),
  row({
    path: ['check', 'v2store'],
    summary: 'Look for data of the v2 API, which etcd 3.6 refuses to start with',
    detail:
      'Looks into the .snap file that etcd 3.5 starts from and into the log behind it. Exit code 1 when there is any.',
    operands: { usage: '', min: 0, max: 0, upstream: 'ignore' },
    flags: ['data-dir', 'wal-dir'],
    required: ['data-dir'],
    examples: [
      ['check v2store --data-dir /var/lib/etcd', 'a stopped member, before the upgrade from 3.5'],
      ['check v2store --data-dir /var/lib/etcd --wal-dir /wal', 'with the log on a disk of its own'],
    ],
    load: async () => (await import('./commands/check/v2store.ts')).v2store,
  }),
  row({
    path: ['hashkv'],
    summary: 'Print the hash of all keys and their history, as members compare it',
    detail: 'Equal to `etcdctl endpoint hashkv` of the server the data came from. The file is only read.',
    operands: { ...ONE_FILE, upstream: 'cobra' },
    flags: ['rev'],
    examples: [
      ['hashkv backup.db', 'hash a backup at its newest revision'],
      [
        'hashkv backup.db --rev 1200 -w json',
        'hash it at revision 1200, for a comparison with a member that is behind',
      ],
    ],
    load: async () => (await import('./commands/hashkv.ts')).hashkv,
  }),
  row({
    path: ['drill'],
    isOwn: true,
    summary: 'Rehearse a recovery with a backup, in a directory of its own',
    detail:
      'Verifies the backup, shows that a copy with one flipped bit is found out, restores three members, and verifies, defragments and hashes each. Nothing is started, and the backup is only read.',
    operands: { ...ONE_FILE, upstream: 'own' },
    flags: ['output'],
    examples: [
      ['drill backup.db', 'into a new directory here, named by the time'],
      ['drill backup.db -o rehearsal', 'into this one'],
    ],
    load: async () => (await import('./commands/drill.ts')).drill,
  }),
  {
    path: ['serve'],
    isOwn: true,
    summary: "Serve etcd's v3 API from a data directory, or from a backup that is only read",
    detail:
      "One member on a real etcd data directory: etcd starts on what it leaves, and it on what etcd leaves. Flags are etcd's, also as environment variables (ETCD_NAME for --name) and, instead of both, in the YAML file of --config-file. Those that ask for other members, or for what Node cannot do, are refused with the reason; those that decide nothing for one member are taken, and the log says so. With --snapshot a backup, a database file or a data directory is served as it is, and nothing is written.",
    operands: { usage: '', min: 0, max: 0, upstream: 'own' },
    flags: SERVE_FLAG_NAMES,
    rows: SERVE_FLAGS,
    examples: [
      ['serve --data-dir /var/lib/etcd', 'one member, on port 2379 of this host alone'],
      ['serve --snapshot backup.db', 'look into a backup with etcdctl'],
      ['serve --snapshot backup.db --rev 1200', 'as it was at an earlier revision'],
      ['serve --snapshot backup.db --scratch', 'with writes that are thrown away at the end'],
    ],
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  row({
    path: ['version'],
    summary: 'Print the version',
    operands: { usage: '', min: 0, max: 0, upstream: 'ignore' },
    flags: [],
    examples: [['version', 'print the version of this program, and of the etcd API it knows']],
    load: async () => (await import('./commands/version.ts')).version,
  }),
  row({
    path: ['completion'],
    summary: 'Print a script that completes commands and flags in a shell',
    operands: {
      usage: '<shell>',
      min: 1,
      max: 1,
      words: ['bash', 'zsh', 'fish', 'powershell'],
      upstream: 'cobra',
    },
    flags: [],
    examples: [
      ['completion bash > /etc/bash_completion.d/etcdkit', 'complete commands in all later sessions of bash'],
      ['completion zsh > "${fpath[1]}/_etcdkit"', 'the same for zsh, where compinit is on'],
      ['completion fish > ~/.config/fish/completions/etcdkit.fish', 'the same for fish'],
      [
        'completion powershell | Out-String | Invoke-Expression',
        'complete commands in this session of PowerShell',
      ],
    ],
    load: async () => (await import('./commands/completion.ts')).completion,
  }),
];

/** First words, in the order of the table. */
export function firstWords(commands: readonly CommandRow[] = COMMANDS): string[] {
  return [...new Set(commands.map((command) => command.path[0]))];
}

/** First words of which beginnings count, for a program of this name. */
export function abbreviatedWords(program: string): string[] {
  return firstWords(program === 'etcdutl' ? COMMANDS.filter((command) => !command.isOwn) : COMMANDS);
}

/** Commands under a noun; empty for a command of one word. */
export function verbsOf(noun: string): CommandRow[] {
  return COMMANDS.filter((command) => command.path[0] === noun && command.path.length === 2);
}

/** `snapshot status`, for messages and usage. */
export function nameOf(command: CommandRow): string {
  return command.path.join(' ');
}
