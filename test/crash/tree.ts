/** A directory tree as a value: read from a disk, written to one, compared. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';

/** A file's bytes up to its last one that is not zero; logs are mostly zeros. */
export interface Content {
  sizeBytes: number;
  bytes: Uint8Array;
}

export interface Entry {
  mode: number;
  uid: number;
  gid: number;
  /** Undefined: a directory. */
  content: Content | undefined;
}

/** By path from the root of the tree, with slashes; the root itself is not in it. */
export type Tree = Map<string, Entry>;

const CHUNK_SIZE = 1 << 20;
const ZEROS = Buffer.alloc(CHUNK_SIZE);
const scratchChunk = Buffer.alloc(CHUNK_SIZE);

export function readTree(root: string): Tree {
  const tree: Tree = new Map();
  const visit = (directory: string, prefix: string): void => {
    for (const name of fs.readdirSync(directory).sort()) {
      const full = join(directory, name);
      const { mode, uid, gid } = fs.lstatSync(full);
      const isDirectory = fs.lstatSync(full).isDirectory();
      const content = isDirectory ? undefined : readContent(full);
      tree.set(prefix + name, { mode: mode & 0o777, uid, gid, content });
      if (isDirectory) visit(full, `${prefix}${name}/`);
    }
  };
  visit(root, '');
  return tree;
}

function readContent(path: string): Content {
  const fd = fs.openSync(path, 'r');
  try {
    const { size } = fs.fstatSync(fd);
    const kept: Array<{ offset: number; bytes: Buffer }> = [];
    for (let offset = 0; offset < size; offset += CHUNK_SIZE) {
      const count = fs.readSync(fd, scratchChunk, 0, Math.min(CHUNK_SIZE, size - offset), offset);
      const chunk = scratchChunk.subarray(0, count);
      if (!chunk.equals(ZEROS.subarray(0, count))) kept.push({ offset, bytes: Buffer.from(chunk) });
    }
    const last = kept.at(-1);
    const bytes = new Uint8Array(last ? last.offset + usedSize(last.bytes) : 0);
    for (const { offset, bytes: chunk } of kept) bytes.set(chunk.subarray(0, bytes.length - offset), offset);
    return { sizeBytes: size, bytes };
  } finally {
    fs.closeSync(fd);
  }
}

function usedSize(bytes: Uint8Array): number {
  let size = bytes.length;
  while (size > 0 && bytes[size - 1] === 0) size--;
  return size;
}

export function contentOf(bytes: Uint8Array, sizeBytes = bytes.length): Content {
  return { sizeBytes, bytes: bytes.subarray(0, usedSize(bytes.subarray(0, sizeBytes))) };
}

/** Writes the tree into `root`, an empty directory or none; what is zero stays a hole. */
export function plantTree(root: string, tree: Tree): void {
  fs.mkdirSync(root, { recursive: true });
  const isRoot = process.getuid?.() === 0;
  for (const [path, { mode, uid, gid, content }] of tree) {
    const full = join(root, path);
    if (content) {
      fs.writeFileSync(full, content.bytes);
      fs.truncateSync(full, content.sizeBytes);
    } else fs.mkdirSync(full);
    fs.chmodSync(full, mode);
    if (isRoot) fs.chownSync(full, uid, gid);
  }
}

export const isWithin = (path: string, prefix: string): boolean =>
  path === prefix || path.startsWith(`${prefix}/`);

const sameContent = (a: Content | undefined, b: Content | undefined): boolean =>
  a === undefined || b === undefined
    ? a === b
    : a === b || (a.sizeBytes === b.sizeBytes && Buffer.compare(a.bytes, b.bytes) === 0);

function sameEntry(a: Entry | undefined, b: Entry | undefined): boolean {
  if (!a || !b) return a === b;
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && sameContent(a.content, b.content);
}

export function isSameTree(a: Tree, b: Tree): boolean {
  return a.size === b.size && [...a].every(([path, entry]) => sameEntry(entry, b.get(path)));
}

/** Paths whose entries are not the same in both, each with what differs. */
export function differences(actual: Tree, expected: Tree): string[] {
  const paths = [...new Set([...actual.keys(), ...expected.keys()])].sort();
  return paths
    .filter((path) => !sameEntry(actual.get(path), expected.get(path)))
    .map((path) => `${path}: ${describe(actual.get(path))}, expected ${describe(expected.get(path))}`);
}

function describe(entry: Entry | undefined): string {
  if (!entry) return 'absent';
  const { mode, uid, gid, content } = entry;
  const owner = `${mode.toString(8)} ${uid}:${gid}`;
  if (!content) return `directory ${owner}`;
  return `${content.sizeBytes} bytes ${digestOf(content.bytes).slice(0, 8)} ${owner}`;
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
