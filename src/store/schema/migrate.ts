/**
 * Ordered, reversible steps between the schemas of minor versions, as edits of buckets. Pure: nothing is read or
 * written here. etcd v3.7 server/storage/schema/migration.go, schema.go; the texts under `upstream` are etcdutl's.
 */
import { UnsupportedError } from '../../errors.ts';
import type { BucketEdit, Edits } from '../rewrite.ts';
import type { BucketName, MetaField, Version } from './buckets.ts';
import type { SchemaState } from './state.ts';

/** A schema's version; upstream never stores a patch but 0. */
export interface MinorVersion {
  major: number;
  minor: number;
}

/** One step to a neighbouring minor version. */
export interface SchemaStep {
  to: MinorVersion;
  edits: Edits;
}

interface Field {
  bucket: BucketName;
  key: MetaField;
}

const STORAGE_VERSION: Field = { bucket: 'meta', key: 'storageVersion' };

/**
 * Fields that a minor version of 3 added, and that go when it is left. Their values come from the server that
 * writes them, but for the storage version. A version that is not listed can neither be left nor reached.
 */
const ADDED: ReadonlyMap<number, readonly Field[]> = new Map([
  [
    5,
    [
      { bucket: 'meta', key: 'term' },
      { bucket: 'meta', key: 'confState' },
    ],
  ],
  [6, [STORAGE_VERSION]],
  [7, []],
]);

/** `3.6` */
export function formatMinor({ major, minor }: MinorVersion): string {
  return `${major}.${minor}`;
}

/** `3.6.0`, as buckets and requests have it. */
export function formatFull(version: MinorVersion): string {
  return `${formatMinor(version)}.0`;
}

/** The minor version of `3.6`, `3.6.0` or `3.6.0-rc.1`; undefined when `text` is no version. */
export function parseVersion(text: string): MinorVersion | undefined {
  const found = /^(\d{1,9})\.(\d{1,9})(?:\.\d+(?:[-+].*)?)?$/.exec(text);
  return found ? { major: Number(found[1]), minor: Number(found[2]) } : undefined;
}

/** Negative, zero or positive as `a` is older than, equal to or newer than `b`. */
export function compareMinor(a: MinorVersion, b: MinorVersion): number {
  return a.major - b.major || a.minor - b.minor;
}

/** The version whose schema this is. Throws `migrate.unsupported` for 3.4, which left no mark of its own. */
export function detectSchema(state: SchemaState, file: string): MinorVersion {
  const stored = state.storageVersion === undefined ? undefined : parseVersion(state.storageVersion);
  if (stored) return stored;
  if ((state.term ?? 0) > 0) return { major: 3, minor: 5 };
  throw new UnsupportedError('migrate.unsupported', `${file} carries no term: missing term information`, {
    where: { file },
    hint: 'the data is of etcd 3.4 or older: start etcd 3.5 on it once, stop it, then migrate',
    upstream: 'missing term information',
  });
}

/** The steps from one schema to another, none when they are equal. Throws `migrate.unsupported`. */
export function planMigration(from: MinorVersion, to: MinorVersion): SchemaStep[] {
  if (from.major !== to.major) throw unplannable('changing major storage version is not supported');
  const steps: SchemaStep[] = [];
  for (let at = from; at.minor !== to.minor;) {
    const isUpgrade = at.minor < to.minor;
    const next = { major: at.major, minor: at.minor + (isUpgrade ? 1 : -1) };
    const higher = isUpgrade ? next : at;
    const fields = higher.major === 3 ? ADDED.get(higher.minor) : undefined;
    if (!fields) throw unplannable(`version "${formatFull(higher)}" is not supported`);
    steps.push({ to: next, edits: stepEdits(fields, next, isUpgrade) });
    at = next;
  }
  return steps;
}

function unplannable(reason: string): UnsupportedError {
  const message = `cannot create migration plan: ${reason}`;
  return new UnsupportedError('migrate.unsupported', message, {
    hint: 'this build knows the schemas of etcd 3.5, 3.6 and 3.7',
  });
}

function stepEdits(fields: readonly Field[], next: MinorVersion, isUpgrade: boolean): Edits {
  const edits: Edits = new Map();
  if (!isUpgrade) for (const { bucket, key } of fields) setRow(edits, bucket, key, undefined);
  return isBeforeStorageVersion(next) ? edits : mergeEdits(edits, storageVersionEdits(next));
}

/** Sets the storage version whatever the schema is; removes it for a version that knows none. */
export function storageVersionEdits(version: MinorVersion): Edits {
  const edits: Edits = new Map();
  const value = isBeforeStorageVersion(version) ? undefined : Buffer.from(formatFull(version));
  setRow(edits, STORAGE_VERSION.bucket, STORAGE_VERSION.key, value);
  return edits;
}

export function isBeforeStorageVersion(version: MinorVersion): boolean {
  return compareMinor(version, { major: 3, minor: 6 }) < 0;
}

/** Sets a row, or with undefined removes it. */
export function setRow(edits: Edits, bucket: BucketName, key: string, value: Uint8Array | undefined): void {
  const edit: BucketEdit = edits.get(bucket) ?? {};
  edit.rows ??= new Map();
  edit.rows.set(key, value);
  edits.set(bucket, edit);
}

/** One after another, as one; what comes later wins. */
export function mergeEdits(...parts: readonly Edits[]): Edits {
  const merged: Edits = new Map();
  for (const part of parts) {
    for (const [bucket, { clear, rows }] of part) {
      const before = clear ? undefined : merged.get(bucket);
      const isCleared = clear || before?.clear;
      merged.set(bucket, {
        ...(isCleared ? { clear: true } : {}),
        rows: new Map([...(before?.rows ?? []), ...(rows ?? [])]),
      });
    }
  }
  return merged;
}

/** All that the steps change, as one. */
export function editsOf(steps: readonly SchemaStep[]): Edits {
  return mergeEdits(...steps.map(({ edits }) => edits));
}

/** The rows of bucket `meta` that change from one known version to another; undefined ones go. */
export function schemaEdits(from: Version, to: Version): ReadonlyMap<string, Uint8Array | undefined> {
  return editsOf(planMigration(parseVersion(from)!, parseVersion(to)!)).get('meta')?.rows ?? new Map();
}
