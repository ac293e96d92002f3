/**
 * `verify`: one read-only pass over a backup, a database or a directory that accounts for every byte and ends in
 * one verdict. A file that changes under the walk is neither good nor damaged.
 */
import { compareBytes } from '../bytes/order.ts';
import { Pacer, type ProgressSink } from '../bytes/pacer.ts';
import { type Finding, findingOf, ToolError } from '../errors.ts';
import { TRAILER_SIZE } from '../format/backup/trailer.ts';
import { checkMetas } from '../format/bolt/meta.ts';
import { type Database, hasMoved, openDatabase, startDigest } from '../store/database.ts';
import { schemaVersionOf, type SchemaState } from '../store/schema/state.ts';
import {
  accountDatabase,
  type DatabaseSinks,
  type DatabaseWalk,
  splitByLayer,
  walkDatabase,
} from './database.ts';
import { type Input, recognise } from './kind.ts';
import { accountOthers, accountUnread, checkLog } from './log.ts';
import { type ByteLine, Findings, type Layer, LAYERS, type VerifyReport, type Verdict } from './report.ts';
import { checkSchema } from './schema.ts';
import { stampOf } from './stillness.ts';

export interface VerifyOptions {
  /** Layers to check; all of them by default. */
  layers?: readonly Layer[] | undefined;
  /** The file layer and the metas alone. */
  isQuick?: boolean;
  /** Where the log is, when it is not in the member directory. */
  walDir?: string | undefined;
  /** Told of each finding: of a backup as it is made, of a file that may have a writer once it was quiet. */
  onFinding?: ((finding: Finding & { layer: Layer }) => void) | undefined;
  signal?: AbortSignal | undefined;
  progress?: ProgressSink | undefined;
}

/** Walks of a file that a writer keeps changing before it is given up. */
const TRIES = 3;

/** Checks one path. Never throws for what is wrong with the data; only for being interrupted, or a defect. */
export async function verify(path: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  let isStreamed = false;
  const onFinding: VerifyOptions['onFinding'] = (finding) => {
    isStreamed = true;
    options.onFinding?.(finding);
  };
  const report = await verifyInput(path, { ...options, onFinding });
  if (!isStreamed) for (const finding of report.findings) options.onFinding?.(finding);
  return report;
}

async function verifyInput(path: string, options: VerifyOptions): Promise<VerifyReport> {
  let input: Input;
  try {
    input = recognise(path, { walDir: options.walDir });
  } catch (error) {
    return unreadable(path, 'unknown', error);
  }
  for (let left = TRIES; ; left--) {
    // Findings of a walk under a writer mean nothing, so they are held back until it is known that there was none.
    // A backup has no writer.
    const findings = new Findings(input.kind === 'backup' ? options.onFinding : undefined);
    try {
      const pass = await new Pass(path, input, options, findings).run();
      if (pass !== 'moved') return pass;
    } catch (error) {
      if (!(error instanceof ToolError) || error.code === 'interrupted') throw error;
      return unreadable(path, input.kind, error);
    }
    if (left <= 1) return changed(path, input);
  }
}

class Pass {
  readonly #path: string;
  readonly #input: Input;
  readonly #options: VerifyOptions;
  readonly #findings: Findings;
  readonly #layers: ReadonlySet<Layer>;
  readonly #bytes: ByteLine[] = [];
  #facts: VerifyReport['facts'] = {};
  #starts: VerifyReport['starts'] = [];

  constructor(path: string, input: Input, options: VerifyOptions, findings: Findings) {
    this.#path = path;
    this.#input = input;
    this.#options = options;
    this.#findings = findings;
    this.#layers = new Set(options.isQuick ? ['file'] : (options.layers ?? LAYERS));
  }

  async run(): Promise<VerifyReport | 'moved'> {
    const pacer = new Pacer({ signal: this.#options.signal, progress: this.#options.progress });
    const sinks: DatabaseSinks = {
      pages: this.#sink('pages') ?? (() => {}),
      content: this.#sink('content'),
      schema: this.#sink('schema'),
    };
    const database = openDatabase(this.#input.database, splitByLayer(sinks));
    const digest = this.#layers.has('file') ? startDigest(database) : undefined;
    try {
      this.#checkSize(database);
      const state = await this.#walk(database, sinks, pacer);
      if (digest) await this.#checkDigest(database, digest.result);
      if (hasMoved(database)) return 'moved';
      if (this.#input.memberDir && this.#layers.has('log')) {
        if ((await this.#checkLog(state, pacer)) === 'moved' || hasMoved(database)) return 'moved';
      }
      return this.#report();
    } finally {
      digest?.cancel();
      database.close();
    }
  }

  #sink(layer: Layer): ((finding: Finding) => void) | undefined {
    return this.#layers.has(layer) ? this.#findings.layer(layer) : undefined;
  }

  async #checkLog(state: SchemaState | undefined, pacer: Pacer): Promise<'moved' | undefined> {
    const input = this.#input;
    const before = stampOf(input);
    const sink = this.#findings.layer('log');
    const lineCount = this.#bytes.length;
    try {
      this.#starts = await checkLog({ input, state, sink, bytes: this.#bytes, facts: this.#facts, pacer });
    } catch (error) {
      // A server renames and removes files beside us.
      if (stampOf(input) !== before) return 'moved';
      if (!(error instanceof ToolError) || error.code === 'interrupted') throw error;
      // What the database holds has been judged, and stands.
      sink(findingOf(error, 'fatal'));
      this.#bytes.splice(lineCount, Infinity, ...accountUnread(input));
    }
    return stampOf(input) === before ? undefined : 'moved';
  }

  async #walk(database: Database, sinks: DatabaseSinks, pacer: Pacer): Promise<SchemaState | undefined> {
    const { bolt } = database;
    const isWalked = (['pages', 'content', 'schema', 'log'] as const).some((layer) =>
      this.#layers.has(layer),
    );
    if (!isWalked) {
      this.#bytes.push({ what: 'pages', bytes: database.contentSize, status: 'skipped' });
      return undefined;
    }
    const walk = await walkDatabase(bolt, sinks, pacer);
    this.#bytes.push(...accountDatabase(walk, database.contentSize));
    for (const layer of walk.incomplete) this.#findings.noteIncomplete(layer);
    const state = checkSchema(walk, sinks.schema ?? (() => {}));
    if (!bolt.isRootLost) this.#facts = factsOf(walk, state);
    return state;
  }

  #checkSize(database: Database): void {
    const { bolt, source, trailer, contentSize } = database;
    const sink = this.#sink('file');
    if (!sink) return;
    const where = { file: source.name };
    if (!this.#layers.has('pages')) checkMetas(source, bolt.metas, sink);
    if (contentSize < bolt.sizeBytes) {
      sink({
        code: 'backup.size',
        severity: 'fatal',
        where: { ...where, offset: contentSize },
        message: `the file ends at ${contentSize} bytes, but the database has ${bolt.sizeBytes} (high-water mark ${bolt.live.pageLimit} × ${bolt.live.pageSize}): ${bolt.sizeBytes - contentSize} bytes are missing`,
        hint: 'the copy was cut off: fetch it again from where it was made',
      });
    }
    const rest = contentSize % bolt.live.pageSize;
    if (!trailer && contentSize > bolt.sizeBytes && rest > 0) {
      sink({
        code: 'backup.size',
        severity: 'lossy',
        where: { ...where, offset: contentSize - rest },
        message: `the file ends ${rest} bytes into a page: it was cut off, or a backup lost a part of its SHA-256 trailer`,
        hint: 'fetch the file again from where it was made',
      });
    }
    if (trailer && contentSize > bolt.sizeBytes) {
      sink({
        code: 'backup.size',
        severity: 'lossy',
        where: { ...where, offset: bolt.sizeBytes },
        message: `${contentSize - bolt.sizeBytes} bytes lie between the end of the database and its trailer`,
      });
    }
  }

  async #checkDigest({ source, trailer, contentSize }: Database, digest: Promise<Uint8Array>): Promise<void> {
    const sink = this.#sink('file');
    if (!sink || !trailer) return;
    this.#bytes.push({ what: 'SHA-256 trailer', bytes: TRAILER_SIZE, status: 'checked' });
    if (compareBytes(await digest, trailer) === 0) return;
    sink({
      code: 'backup.digest',
      severity: 'lossy',
      where: { file: source.name, offset: contentSize },
      message: 'the content does not match the SHA-256 in the trailer: some byte of the file was changed',
      hint: 'fetch the file again from where it was made; restore refuses it without --skip-hash-check',
    });
  }

  #report(): VerifyReport {
    const verdict = this.#findings.verdict();
    if (this.#input.memberDir && !this.#layers.has('log')) this.#bytes.push(...accountUnread(this.#input));
    if (this.#input.memberDir) this.#bytes.push(...accountOthers(this.#input));
    if (!this.#layers.has('file') && this.#input.kind === 'backup') {
      this.#bytes.push({ what: 'SHA-256 trailer', bytes: TRAILER_SIZE, status: 'skipped' });
    }
    return {
      path: this.#path,
      kind: this.#input.kind,
      verdict,
      damageCount: this.#findings.damageCount,
      layers: this.#findings.layers(),
      findings: this.#findings.kept,
      bytes: sumByName(this.#bytes),
      totalBytes: this.#bytes.reduce((sum, line) => sum + line.bytes, 0),
      facts: this.#facts,
      starts: this.#starts,
      next: nextStep(verdict, this.#input),
    };
  }
}

/** One line for all files of a sort. */
function sumByName(lines: readonly ByteLine[]): ByteLine[] {
  const sums = new Map<string, ByteLine>();
  for (const line of lines) {
    const key = `${line.what} ${line.status}`;
    const sum = sums.get(key);
    if (sum) sum.bytes += line.bytes;
    else sums.set(key, { ...line });
  }
  return [...sums.values()];
}

function factsOf(walk: DatabaseWalk, state: SchemaState): VerifyReport['facts'] {
  const { history, bolt } = walk;
  const facts: VerifyReport['facts'] = {
    storageVersion:
      state.storageVersion ?? `before 3.6 (schema of ${schemaVersionOf(state) ?? 'an unknown version'})`,
    pageSize: bolt.live.pageSize,
    txid: String(bolt.live.txid),
    members: state.members.length,
    leases: walk.leases.count,
  };
  if (state.clusterVersion) facts['clusterVersion'] = state.clusterVersion;
  if (state.consistentIndex !== undefined) facts['consistentIndex'] = state.consistentIndex;
  if (state.term !== undefined) facts['term'] = state.term;
  if (walk.marks.finished !== undefined) facts['compactRevision'] = walk.marks.finished;
  if (history) {
    facts['revision'] = history.revision;
    facts['keys'] = history.liveKeyCount;
    facts['records'] = history.recordCount;
    facts['tombstones'] = history.tombstoneCount;
    facts['valueBytes'] = history.valueBytes;
  }
  return facts;
}

function nextStep(verdict: Verdict, input: Input): string {
  const isFile = input.memberDir === undefined;
  switch (verdict) {
    case 'GOOD':
    case 'GOOD with notes':
      return isFile ? 'can be restored: etcdkit snapshot restore' : 'a server can start from it';
    case 'DAMAGED':
      return isFile
        ? 'do not rely on it: take another backup, or fetch this one again'
        : 'do not start a server on it: use another member, or restore a backup';
    case 'CHANGED WHILE READ':
      return 'an etcd is writing to it: take a sound copy with etcdctl snapshot save';
    default:
      return 'use another backup or another member';
  }
}

function changed(path: string, input: Input): VerifyReport {
  const error = new ToolError(
    'backup.changing',
    `${input.database} changed while it was read, ${TRIES} times in a row`,
    {
      where: { file: input.database },
      hint: 'take a sound copy from the running member: etcdctl snapshot save FILE',
    },
  );
  return {
    ...unreadable(path, input.kind, error),
    verdict: 'CHANGED WHILE READ',
    damageCount: 0,
    next: nextStep('CHANGED WHILE READ', input),
  };
}

function unreadable(path: string, kind: VerifyReport['kind'], error: unknown): VerifyReport {
  if (!(error instanceof ToolError)) throw error;
  const findings = new Findings();
  findings.layer('file')(findingOf(error, 'fatal'));
  return {
    path,
    kind,
    verdict: 'UNREADABLE',
    damageCount: 1,
    layers: findings.layers(),
    findings: findings.kept,
    bytes: [],
    totalBytes: 0,
    facts: {},
    starts: [],
    next: error.hint ?? 'use another backup or another member',
  };
}
