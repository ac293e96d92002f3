/**
 * What real etcdctl is asked to do in the comparison of two servers: scripts of commands, each of which starts
 * on a fresh server. `{…}` in an argument stands for what an earlier answer gave.
 */

/** One run of etcdctl. */
export interface Step {
  readonly args: readonly string[];
  readonly input?: string;
  /** Takes the first group of a match in stdout for later arguments, as `{name}`. */
  readonly capture?: { readonly name: string; readonly pattern: RegExp };
  /** For commands that go on for ever: interrupted as soon as stdout has so many lines. */
  readonly linesMin?: number;
  /** What differs from run to run, besides ids and durations. */
  readonly mask?: readonly RegExp[];
  /** The database's digests and sizes differ, so only whether it succeeded is compared. */
  readonly isCodeOnly?: boolean;
}

export interface Script {
  readonly steps: readonly Step[];
  readonly serverArgs?: readonly string[];
  /** Also run with the etcdctl of the other versions, not only in the soak. */
  readonly isSmoke?: boolean;
}

const FORMATS = ['simple', 'json', 'fields', 'table'];

const run = (...args: string[]): Step => ({ args });
const typed = (input: string, ...args: string[]): Step => ({ args, input });
const inAllFormats = (...args: string[]): Step[] => [
  ...FORMATS.map((format) => run(...args, '-w', format)),
  // Ids are varints in there.
  { args: [...args, '-w', 'protobuf'], isCodeOnly: true },
];

const FILLED = ['a', 'b', 'c/1', 'c/2', 'c/3', 'd'].map((key) => run('put', key, `value of ${key}`));

const kv: Step[] = [
  run('get', 'nothing'),
  ...FILLED,
  run('put', 'a', 'again', '--prev-kv'),
  typed('from stdin', 'put', 'in'),
  typed('', 'put', 'in'),
  run('put', 'odd', '--', '-leading dash'),
  run('put', 'no value', ''),
  run('put', 'absent', '--ignore-value'),
  run('put', 'a', '--ignore-value'),
  run('put', 'a', 'x', '--lease=zz'),
  run('put', 'a', 'x', '--lease=1234'),
  run('put'),
  run('put', 'one', 'two', 'three'),
  ...inAllFormats('put', 'f', 'format', '--prev-kv'),
  ...inAllFormats('get', 'c/', '--prefix'),
  ...inAllFormats('get', 'nothing'),
  run('get', 'c/1', 'c/3'),
  run('get', 'c', '--from-key'),
  run('get', '', '--from-key', '--limit=2'),
  run('get', '', '--prefix', '--keys-only'),
  run('get', '', '--prefix', '--count-only'),
  run('get', '', '--prefix', '--count-only', '-w', 'fields'),
  run('get', '', '--prefix', '--count-only', '-w', 'json'),
  run('get', '', '--prefix', '--print-value-only'),
  run('get', '', '--prefix', '--hex'),
  run('get', '', '--prefix', '--hex', '-w', 'fields'),
  run('get', 'a', '--rev=2'),
  run('get', 'a', '--rev=1000'),
  run('get', 'a', '--consistency=s'),
  run('get', 'a', '--consistency=x'),
  run('get', '', '--prefix', '--order=DESCEND', '--sort-by=CREATE'),
  run('get', '', '--prefix', '--order=ASCEND', '--sort-by=VERSION', '--limit=3'),
  run('get', '', '--prefix', '--sort-by=MODIFY', '--order=DESCEND'),
  run('get', '', '--prefix', '--sort-by=VALUE'),
  run('get', '', '--prefix', '--sort-by=nonsense'),
  run('get', '', '--prefix', '--min-mod-rev=4', '--max-mod-rev=8'),
  run('get', '', '--prefix', '--min-create-rev=4', '--max-create-rev=6'),
  run('get', '', '--prefix', '--from-key'),
  run('del', 'a', '--prev-kv'),
  run('del', 'a'),
  run('del', 'c/', '--prefix', '--prev-kv'),
  run('del', 'b', 'd', '-w', 'json'),
  run('del', '', '--from-key'),
  run('get', '', '--prefix'),
];

const txn: Step[] = [
  ...FILLED,
  typed('value("a") = "value of a"\n\nput a changed\nget a\nget c/ --prefix\n\nput a other\n\n', 'txn'),
  typed('value("a") = "value of a"\n\nput a changed\n\nget b\ndel d\n\n', 'txn'),
  typed('mod("b") > "2"\ncreate("b") = "3"\nver("b") < "2"\n\nput e made\n\n\n', 'txn'),
  typed('\n\nget a\nput b "with blanks in it"\n\n\n', 'txn', '-w', 'json'),
  typed('\n\nget a\n\n\n', 'txn', '-w', 'fields'),
  typed('value("a") = "changed"\n\nput a once\n\nget a\n\n', 'txn', '--interactive'),
  typed('\n\nput a 1\nput a 2\n\n\n', 'txn'),
  typed('nonsense\n\n', 'txn'),
  run('get', '', '--prefix'),
];

const compact: Step[] = [
  ...FILLED,
  run('put', 'a', '2'),
  run('put', 'a', '3'),
  run('compaction', '100'),
  run('compaction', '5'),
  run('compaction', '--physical', '7'),
  run('compaction', '6'),
  run('compaction', 'x'),
  run('get', 'a', '--rev=4'),
  run('get', 'a', '--rev=7'),
  run('watch', 'a', '--rev=3'),
  run('defrag'),
  run('get', '', '--prefix'),
];

const watch: Step[] = [
  ...FILLED,
  run('put', 'a', '2'),
  run('del', 'a'),
  run('put', 'a', '3', '--lease=0'),
  { args: ['watch', 'a', '--rev=1'], linesMin: 11 },
  { args: ['watch', 'a', '--rev=1', '--prev-kv'], linesMin: 15 },
  { args: ['watch', 'c/', '--prefix', '--rev=1'], linesMin: 9 },
  { args: ['watch', 'b', 'c/3', '--rev=1'], linesMin: 9 },
  { args: ['watch', 'a', '--rev=1', '-w', 'json'], linesMin: 1, mask: [/"Header":\{[^}]*\}/g] },
  { args: ['watch', 'a', '--rev=1', '-w', 'fields'], linesMin: 20, mask: [/"Revision" : \d+/g] },
  { args: ['watch', 'c/1', '--rev=1', '--', 'env'], linesMin: 4, isCodeOnly: true },
  { args: ['watch', '-i'], input: 'watch c/1 --rev=1\n', linesMin: 3 },
  { args: ['watch', 'a', '--rev=1', '--progress-notify'], linesMin: 11 },
  run('watch'),
];

const lease: Step[] = [
  run('lease', 'list'),
  {
    args: ['lease', 'grant', '500'],
    capture: { name: 'lease', pattern: /lease ([0-9a-f]+) granted/ },
  },
  run('lease', 'list'),
  run('put', 'l/1', 'v', '--lease={lease}'),
  ...FORMATS.map((format): Step => ({
    args: ['lease', 'timetolive', '{lease}', '--keys', '-w', format],
    mask: [/remaining\(\d+s\)/g, /"ttl":\d+/g, /"TTL" : \d+/g],
  })),
  run('put', 'l/2', 'v', '--lease={lease}'),
  run('put', 'l/2', 'w', '--ignore-lease'),
  run('get', 'l/', '--prefix', '-w', 'json'),
  run('lease', 'keep-alive', '--once', '{lease}'),
  { args: ['lease', 'keep-alive', '{lease}'], linesMin: 1 },
  run('lease', 'keep-alive', '--once', '123'),
  run('lease', 'timetolive', '123'),
  run('lease', 'revoke', '{lease}'),
  run('lease', 'revoke', '{lease}'),
  run('lease', 'revoke', 'zz'),
  run('get', 'l/', '--prefix'),
  run('lease', 'list', '-w', 'json'),
  run('lease', 'grant', 'x'),
  run('lease', 'grant', '9000000001'),
];

const SIZES = [/\d+(?:\.\d+)? [kM]B/g, /"(?:dbSize|dbSizeInUse|raftIndex|raftAppliedIndex)":\d+/g];

const endpoint: Step[] = [
  ...FILLED,
  ...FORMATS.flatMap((format): Step[] => [
    { args: ['endpoint', 'health', '-w', format] },
    { args: ['endpoint', 'hashkv', '-w', format] },
    { args: ['endpoint', 'hashkv', '--rev=3', '-w', format] },
    {
      args: ['endpoint', 'status', '-w', format],
      mask: [
        ...SIZES,
        /(?:"DBSize(?:InUse)?"|"RaftIndex"|"RaftAppliedIndex") : \d+/g,
        // The simple and table forms hold the percentage in use, the term and the indexes as bare columns.
        /\b3\.6\.\d+\b/g,
        /\d+%/g,
        /, \d+, \d+, \d+, /g,
        /[|│] +\d+ [|│] +\d+ [|│] +\d+ [|│]/g,
        /[-+]{8,}/g,
        / +/g,
      ],
    },
  ]),
  run('endpoint', 'health', '--cluster'),
  run('endpoint', 'hashkv', '--rev=1000'),
  run('member', 'list'),
  run('member', 'list', '-w', 'json'),
  run('member', 'list', '-w', 'fields'),
  run('member', 'list', '-w', 'table'),
  { args: ['member', 'list'], capture: { name: 'member', pattern: /^([0-9a-f]+), / } },
  run('member', 'update', '{member}', '--peer-urls=http://127.0.0.1:1'),
  run('member', 'list'),
  run('member', 'update', '12345', '--peer-urls=http://127.0.0.1:1'),
  run('member', 'remove', '12345'),
  run('member', 'promote', '{member}'),
  run('alarm', 'list'),
  run('alarm', 'disarm'),
  run('defrag'),
  run('endpoint', 'hashkv'),
  run('move-leader', '{member}'),
  run('move-leader', '12345'),
  run('downgrade', 'validate', '3.5'),
  run('downgrade', 'validate', '3.4'),
  run('downgrade', 'cancel'),
  run('version'),
];

const concurrency: Step[] = [
  { args: ['lock', 'door', 'echo', 'held'] },
  { args: ['lock', 'door', '--ttl=5', 'false'] },
  { args: ['lock', 'door'], linesMin: 1, mask: [/door\/[0-9a-f]+/g] },
  { args: ['elect', 'chair', 'ann'], linesMin: 2, mask: [/chair\/[0-9a-f]+/g] },
  run('lock'),
  run('elect', 'chair'),
  run('get', '', '--prefix'),
];

const BIG = 'x'.repeat(1_000_000);

/** Fills a small quota until nothing fits, and makes room again. How many puts that takes is the server's affair. */
const space: Step[] = [
  ...Array.from({ length: 14 }, (_, number): Step => ({
    args: ['put', `big${number % 2}`],
    input: BIG,
    isCodeOnly: true,
    mask: [/.*/s],
  })),
  run('put', 'small', 'refused'),
  run('get', 'small'),
  run('alarm', 'list'),
  run('del', 'big0'),
  run('endpoint', 'health'),
  run('compaction', '--physical', '2'),
  {
    args: ['get', 'none', '-w', 'json'],
    capture: { name: 'revision', pattern: /"revision":(\d+)/ },
    isCodeOnly: true,
  },
  { args: ['compaction', '--physical', '{revision}'], isCodeOnly: true },
  run('defrag'),
  run('alarm', 'disarm'),
  run('alarm', 'list'),
  run('put', 'small', 'taken'),
  run('get', 'small'),
];

const snapshot: Step[] = [
  ...FILLED,
  { args: ['snapshot', 'save', '{folder}/saved.db'], mask: [/\d{4}-\d\d-\d\dT[^"]+/g] },
  run('snapshot', 'save'),
];

export const SCRIPTS: Readonly<Record<string, Script>> = {
  kv: { steps: kv, isSmoke: true },
  txn: { steps: txn, isSmoke: true },
  compact: { steps: compact },
  watch: { steps: watch, isSmoke: true },
  lease: { steps: lease, isSmoke: true },
  endpoint: { steps: endpoint, isSmoke: true },
  concurrency: { steps: concurrency },
  space: { steps: space, serverArgs: [`--quota-backend-bytes=${8 << 20}`] },
  snapshot: { steps: snapshot, isSmoke: true },
};
