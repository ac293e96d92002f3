/** Which versions the rows name: of the cluster, of the storage, and the one a downgrade goes to. */
import { latin1 } from '../bytes/order.ts';
import type { Backend } from '../store/backend/backend.ts';
import { CLUSTER_VERSION, DOWNGRADE } from '../store/schema/buckets.ts';
import { formatFull, type MinorVersion, parseVersion } from '../store/schema/migrate.ts';
import { decodeDowngrade, type Downgrade } from '../store/schema/state.ts';

const STORAGE_VERSION = Buffer.from('storageVersion');
const TERM = Buffer.from('term');
/** The last version that did not write its own down. */
const UNWRITTEN: MinorVersion = { major: 3, minor: 5 };

/** Undefined while nobody has set one. */
export function clusterVersionOf(backend: Backend): MinorVersion | undefined {
  const value = backend.get('cluster', Buffer.from(CLUSTER_VERSION));
  return value && parseVersion(latin1(value));
}

/** As stored, `3.6.0`; empty where nothing is. */
export function storedVersionOf(backend: Backend): string {
  const value = backend.get('meta', STORAGE_VERSION);
  return value ? latin1(value) : '';
}

/** `3.6.0`: as stored, or as the rows show it; empty when nothing does. etcd v3.6 server/storage/schema. */
export function storageVersionOf(backend: Backend): string {
  const stored = storedVersionOf(backend);
  if (stored !== '') return stored;
  return backend.get('meta', TERM) ? formatFull(UNWRITTEN) : '';
}

/** Makes the storage that of another version; between 3.5 and 3.7 one row is all that differs. */
export function setStorageVersion(backend: Backend, version: MinorVersion): void {
  if (version.minor <= UNWRITTEN.minor) backend.delete('meta', STORAGE_VERSION);
  else backend.put('meta', STORAGE_VERSION, Buffer.from(formatFull(version)));
}

/** The downgrade that is under way, or the last one. */
export function downgradeOf(backend: Backend): Downgrade {
  const value = backend.get('cluster', Buffer.from(DOWNGRADE));
  return value ? decodeDowngrade(value) : { targetVersion: '', isEnabled: false };
}
