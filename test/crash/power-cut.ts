/**
 * What a disk may hold after a power cut: the operations of a run, replayed on the old state without some of those
 * that nothing had made durable.
 *
 * Modelled, as POSIX has it rather than as any one file system does better:
 * - What was written to a file or cut from it is durable once that file was synced. Until then each write may be
 *   lost, or be there as zeros, or by half, on its own.
 * - A name that was made, renamed, linked or removed is durable once its directory was synced. Until then the
 *   latest changes of a directory may be lost; which of them is open, but an earlier one survives a later one.
 *   Directories are independent of each other.
 * - Owner and mode are durable once the file or directory itself was synced.
 *
 * With luck of its own for sectors, what a file holds is not decided write by write but sector by sector: see
 * `sector-cut.ts`.
 *
 * Not modelled: sectors torn inside what was durable before and is not written to, disks that lie about a sync,
 * reordering of changes to one directory.
 */
import { basename, dirname, relative } from 'node:path';
import { ToolError } from '../../src/errors.ts';
import type { DiskCall } from '../support/faulty-disk.ts';
import type { Random } from '../support/mutate.ts';
import { type DataChange, landSectors, type SectorLuck } from './sector-cut.ts';
import { contentOf, isWithin, type Tree } from './tree.ts';

/** What becomes of one write that was not durable. */
export type Fate = 'lost' | 'zeros' | 'half' | 'whole';

/** Decides about what was not durable. */
export interface Luck {
  /** How many of the `count` latest changes to names in a directory survive. */
  names(count: number): number;
  write(): Fate;
  /** Whether owner and mode survive. */
  attributes(): boolean;
  /** Decides about data in place of `write`. */
  sectors?: SectorLuck;
}

/** The corners, between which everything else lies. */
export const EXTREMES: ReadonlyArray<[name: string, luck: Luck]> = [
  ['all lost', { names: () => 0, write: () => 'lost', attributes: () => false }],
  ['names without data', { names: (count) => count, write: () => 'lost', attributes: () => true }],
  ['zeros for data', { names: (count) => count, write: () => 'zeros', attributes: () => true }],
  ['data without names', { names: () => 0, write: () => 'whole', attributes: () => true }],
  [
    'names and data without owners',
    { names: (count) => count, write: () => 'whole', attributes: () => false },
  ],
];

export function randomLuck(random: Random): Luck {
  return {
    names: (count) => random.below(count + 1),
    write: () => random.pick(['lost', 'zeros', 'half', 'whole']),
    attributes: () => random.chance(0.5),
  };
}

interface Inode {
  mode: number;
  uid: number;
  gid: number;
  /** Of a file. */
  pieces?: Array<{ at: number; bytes: Uint8Array }>;
  sizeBytes: number;
}

/** A change, and what it takes to make it durable. */
interface Change {
  kind: 'name' | 'data' | 'attributes';
  /** The directory's path, or the inode. */
  of: string | Inode;
  isDurable: boolean;
  data?: DataChange;
  apply(names: Map<string, Inode>, fate: Fate): void;
}

/** Paths as the operations gave them, made relative to `root`. */
export function stateAfterCut(before: Tree, calls: readonly DiskCall[], root: string, luck: Luck): Tree {
  const names = new Map<string, Inode>();
  for (const [path, { mode, uid, gid, content }] of before) {
    const file = content && { pieces: [{ at: 0, bytes: content.bytes }] };
    names.set(path, { mode, uid, gid, sizeBytes: content?.sizeBytes ?? 0, ...file });
  }
  const changes = new Recorder(names, root).record(calls);
  const survivors = new Map<string | Inode, number>();
  for (const change of changes) {
    if (change.kind !== 'name' || change.isDurable || survivors.has(change.of)) continue;
    const pending = changes.filter(
      (other) => other.kind === 'name' && other.of === change.of && !other.isDurable,
    );
    survivors.set(change.of, luck.names(pending.length));
  }
  const unsynced = new Map<Inode, DataChange[]>();
  for (const change of changes) {
    if (change.isDurable) change.apply(names, 'whole');
    else if (luck.sectors && change.data) {
      const inode = change.of as Inode;
      unsynced.set(inode, [...(unsynced.get(inode) ?? []), change.data]);
    } else if (change.kind === 'data') change.apply(names, luck.write());
    else if (change.kind === 'attributes') {
      if (luck.attributes()) change.apply(names, 'whole');
    } else {
      const left = survivors.get(change.of)!;
      survivors.set(change.of, left - 1);
      if (left > 0) change.apply(names, 'whole');
    }
  }
  for (const [inode, data] of unsynced) {
    const content = { bytes: laidOut(inode.pieces!, inode.sizeBytes), sizeBytes: inode.sizeBytes };
    const { pieces, sizeBytes } = landSectors(content, data, luck.sectors!);
    inode.pieces!.push(...pieces);
    inode.sizeBytes = sizeBytes;
  }
  return treeOf(names);
}

/** Follows descriptors and names through a run, and notes what each operation changes. */
class Recorder {
  readonly #root: string;
  /** As a process sees them during the run. */
  readonly #names: Map<string, Inode>;
  readonly #descriptors = new Map<number, Inode>();
  readonly #changes: Change[] = [];

  constructor(names: ReadonlyMap<string, Inode>, root: string) {
    this.#names = new Map(names);
    this.#root = root;
  }

  record(calls: readonly DiskCall[]): Change[] {
    for (const call of calls) this.#take(call);
    return this.#changes;
  }

  #take(call: DiskCall): void {
    const path = relative(this.#root, call.path);
    const to = call.to === undefined ? '' : relative(this.#root, call.to);
    switch (call.operation) {
      case 'create':
      case 'makeDirectory':
        this.#make(path, call);
        break;
      case 'openForUpdate':
        this.#descriptors.set(call.fd!, this.#inodeAt(path));
        break;
      case 'rename':
        this.#name(dirname(to), (names) => move(names, path, to));
        break;
      case 'link':
        this.#name(dirname(to), (names) => copy(names, path, to));
        break;
      case 'remove':
      case 'removeDirectory':
        this.#name(dirname(path), (names) => names.delete(path));
        break;
      case 'write':
        this.#write(this.#descriptors.get(call.fd!)!, call.bytes!, call.position!);
        break;
      case 'truncate':
        this.#truncate(this.#descriptors.get(call.fd!)!, call.sizeBytes!);
        break;
      case 'setOwner':
      case 'setMode':
        this.#attributes(this.#inodeAt(path), call.owner ?? { mode: call.mode! });
        break;
      case 'sync':
        this.#settle((change) => change.of === this.#descriptors.get(call.fd!));
        break;
      case 'syncDirectory':
        this.#settle((change) => change.of === (path || '.') || change.of === this.#names.get(path));
        break;
      default:
    }
  }

  #inodeAt(path: string): Inode {
    return this.#names.get(path)!;
  }

  #make(path: string, { operation, mode, fd }: DiskCall): void {
    const isFile = operation === 'create';
    const owner = { uid: process.getuid!(), gid: process.getgid!() };
    const inode: Inode = {
      mode: mode! & ~process.umask(),
      ...owner,
      sizeBytes: 0,
      ...(isFile ? { pieces: [] } : {}),
    };
    if (fd !== undefined) this.#descriptors.set(fd, inode);
    this.#name(dirname(path), (names) => names.set(path, inode));
  }

  #name(directory: string, apply: (names: Map<string, Inode>) => void): void {
    apply(this.#names);
    this.#changes.push({ kind: 'name', of: directory, isDurable: false, apply });
  }

  #write(inode: Inode, bytes: Uint8Array, at: number): void {
    const apply = (_: unknown, fate: Fate): void => {
      if (fate === 'lost') return;
      const length = fate === 'half' ? bytes.length >> 1 : bytes.length;
      const landed = fate === 'zeros' ? new Uint8Array(length) : bytes.subarray(0, length);
      inode.pieces!.push({ at, bytes: landed });
      inode.sizeBytes = Math.max(inode.sizeBytes, at + length);
    };
    this.#changes.push({ kind: 'data', of: inode, isDurable: false, data: { at, bytes }, apply });
  }

  #truncate(inode: Inode, sizeBytes: number): void {
    const apply = (_: unknown, fate: Fate): void => {
      if (fate !== 'lost') inode.sizeBytes = sizeBytes;
    };
    this.#changes.push({ kind: 'data', of: inode, isDurable: false, data: { sizeBytes }, apply });
  }

  #attributes(inode: Inode, attributes: Partial<Inode>): void {
    const apply = (): void => void Object.assign(inode, attributes);
    this.#changes.push({ kind: 'attributes', of: inode, isDurable: false, apply });
  }

  #settle(isMeant: (change: Change) => boolean): void {
    for (const change of this.#changes) if (isMeant(change)) change.isDurable = true;
  }
}

/** With everything below it. What is not there, since its own name was lost, is not moved. */
function move(names: Map<string, Inode>, from: string, to: string): void {
  for (const path of copy(names, from, to)) names.delete(path);
}

/** Gives the names that were there. */
function copy(names: Map<string, Inode>, from: string, to: string): string[] {
  const meant = [...names].filter(([path]) => isWithin(path, from));
  for (const [path, inode] of meant) names.set(to + path.slice(from.length), inode);
  return meant.map(([path]) => path);
}

/** What hangs on a name that is not there is not to be found. */
function treeOf(names: ReadonlyMap<string, Inode>): Tree {
  const tree: Tree = new Map();
  for (const path of [...names.keys()].sort()) {
    const parent = dirname(path);
    if (parent !== '.' && !tree.has(parent)) continue;
    const { mode, uid, gid, pieces, sizeBytes } = names.get(path)!;
    tree.set(path, { mode, uid, gid, content: pieces && contentOf(laidOut(pieces, sizeBytes), sizeBytes) });
  }
  return tree;
}

function laidOut(pieces: ReadonlyArray<{ at: number; bytes: Uint8Array }>, sizeBytes: number): Uint8Array {
  const end = Math.max(0, ...pieces.map(({ at, bytes }) => at + bytes.length));
  const whole = new Uint8Array(end);
  for (const { at, bytes } of pieces) whole.set(bytes, at);
  return whole.subarray(0, Math.min(end, sizeBytes));
}

/** `sync of db.tmp.1`, for messages. */
export function describeCall({ number, operation, path }: DiskCall): string {
  return `${number} ${operation} of ${basename(path)}`;
}

/** What an image was refused for: also what lay behind the finding that a user is shown. */
export function failureText(error: unknown): string {
  if (!(error instanceof ToolError)) return String(error);
  const behind = error.cause === undefined ? '' : `; because of ${failureText(error.cause)}`;
  return `${error.code}: ${error.message}${behind}`;
}
