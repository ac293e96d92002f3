/** The buckets and fields of etcd's schema, by the version that brought them. etcd v3.6 server/storage/schema. */

/** A minor version of etcd, `3.6`. */
export type Version = '3.4' | '3.5' | '3.6' | '3.7';
export const VERSIONS: readonly Version[] = ['3.4', '3.5', '3.6', '3.7'];

/** Every server since 3.0 creates these when it starts, in this order by name. */
export const BUCKETS = [
  'alarm',
  'auth',
  'authRoles',
  'authUsers',
  'cluster',
  'key',
  'lease',
  'members',
  'members_removed',
  'meta',
] as const;
export type BucketName = (typeof BUCKETS)[number];

/** Fields of bucket `meta`, with the version that brought each. */
export const META_FIELDS = {
  consistent_index: '3.4',
  term: '3.5',
  confState: '3.5',
  storageVersion: '3.6',
  scheduledCompactRev: '3.4',
  finishedCompactRev: '3.4',
} as const satisfies Record<string, Version>;
export type MetaField = keyof typeof META_FIELDS;

/** Fields of bucket `cluster`. */
export const CLUSTER_VERSION = 'clusterVersion';
export const DOWNGRADE = 'downgrade';

/** Negative, zero or positive as `a` is older than, equal to or newer than `b`. */
export function compareVersions(a: Version, b: Version): number {
  return VERSIONS.indexOf(a) - VERSIONS.indexOf(b);
}

/** The version that `3.6.0` or `3.6` names, if this build knows it. */
export function knownVersion(text: string): Version | undefined {
  const match = /^(\d+\.\d+)(?:\.\d+.*)?$/.exec(text);
  return VERSIONS.find((version) => version === match?.[1]);
}
