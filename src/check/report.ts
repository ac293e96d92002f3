/** What verify says: findings by layer, the sum of bytes it looked at, and one verdict. */
import type { Finding, FindingSink, Severity } from '../errors.ts';
import type { Version } from '../store/schema/buckets.ts';

/** In the order in which they are checked. */
export const LAYERS = ['file', 'pages', 'content', 'schema', 'log'] as const;
export type Layer = (typeof LAYERS)[number];

/** `CHANGED WHILE READ` is neither good nor damaged: the file has a writer. */
export type Verdict = 'GOOD' | 'GOOD with notes' | 'DAMAGED' | 'UNREADABLE' | 'CHANGED WHILE READ';

export type InputKind = 'backup' | 'database' | 'data directory' | 'member directory';

export interface LayerReport {
  layer: Layer;
  /**
   * `incomplete`: a part of it lies in pages that are damaged. `skipped`: not asked for, or not to be had from this kind
   * of input.
   */
  status: 'checked' | 'incomplete' | 'skipped';
  /** Findings of each severity. */
  fatal: number;
  lossy: number;
  notes: number;
}

/** Every byte of the input is in one of these lines. */
export interface ByteLine {
  what: string;
  bytes: number;
  /** `skipped`: on purpose, with nothing in it that could be wrong. */
  status: 'checked' | 'skipped';
}

export interface StartReport {
  version: Version;
  /** `the snapshot at 21`, `the beginning of the log`. */
  from?: string;
  obstacle?: string;
}

export interface VerifyReport {
  path: string;
  kind: InputKind | 'unknown';
  verdict: Verdict;
  /** Findings above a note. */
  damageCount: number;
  layers: LayerReport[];
  /** The first findings; `damageCount` and the layers count all of them. */
  findings: Array<Finding & { layer: Layer }>;
  bytes: ByteLine[];
  /** Size of everything that was given, in bytes; the sum of `bytes`. */
  totalBytes: number;
  /** What is worth knowing of a readable input, by etcd's own names. */
  facts: Record<string, string | number>;
  /** Of a directory: for each version of etcd, from where it would start, or what stops it. */
  starts: StartReport[];
  /** What the operator does next. */
  next: string;
}

/** Findings kept in a report; beyond, they are only counted (and still streamed). */
const FINDINGS_KEPT = 1000;

/** Takes findings of all layers, streams them on, counts and keeps them. */
export class Findings {
  readonly kept: Array<Finding & { layer: Layer }> = [];
  readonly #layers = new Map<Layer, LayerReport>();
  readonly #onFinding: ((finding: Finding & { layer: Layer }) => void) | undefined;

  constructor(onFinding?: (finding: Finding & { layer: Layer }) => void) {
    this.#onFinding = onFinding;
    for (const layer of LAYERS)
      this.#layers.set(layer, { layer, status: 'skipped', fatal: 0, lossy: 0, notes: 0 });
  }

  /** The sink of one layer, which counts as checked from now on. */
  layer(layer: Layer): FindingSink {
    this.#layers.get(layer)!.status = 'checked';
    return (finding) => this.#add(layer, finding);
  }

  /** A part of a layer could not be read. */
  noteIncomplete(layer: Layer): void {
    const report = this.#layers.get(layer)!;
    if (report.status === 'checked') report.status = 'incomplete';
  }

  #add(layer: Layer, finding: Finding): void {
    const report = this.#layers.get(layer)!;
    report[finding.severity === 'note' ? 'notes' : finding.severity]++;
    const placed = { ...finding, layer };
    if (this.kept.length < FINDINGS_KEPT) this.kept.push(placed);
    this.#onFinding?.(placed);
  }

  layers(): LayerReport[] {
    return [...this.#layers.values()];
  }

  count(severity: Severity): number {
    const field = severity === 'note' ? 'notes' : severity;
    return this.layers().reduce((sum, layer) => sum + layer[field], 0);
  }

  get damageCount(): number {
    return this.count('fatal') + this.count('lossy');
  }

  verdict(): Verdict {
    if (this.damageCount > 0) return 'DAMAGED';
    return this.count('note') > 0 ? 'GOOD with notes' : 'GOOD';
  }
}
