/** Every flag of `serve`: one row each says what kind of value it takes and what becomes of it. */
import type { ServeFlagRow } from './flag-row.ts';
import { OTHER_FLAGS } from './other-flags.ts';
import { USED_FLAGS } from './used-flags.ts';

/** The name of a flag of the server. */
export type ServeFlag = keyof typeof USED_FLAGS | keyof typeof OTHER_FLAGS;

export const SERVE_FLAGS: Readonly<Record<ServeFlag, ServeFlagRow>> = { ...USED_FLAGS, ...OTHER_FLAGS };

/** In the order of help. */
export const SERVE_FLAG_NAMES = Object.keys(SERVE_FLAGS) as ServeFlag[];

/** Flags that etcd does not have: they are read from the command line alone, also beside a configuration file. */
export const OWN_FLAGS: readonly ServeFlag[] = [
  'emulate',
  'shutdown-timeout',
  'no-lock',
  'snapshot',
  'rev',
  'scratch',
  'max-connections',
  'max-total-streams',
  'max-queued-bytes',
  'max-header-bytes',
  'max-pending-logins',
  'handshake-timeout',
  'request-read-timeout',
];

/** Whether the server has such a flag. */
export function isServeFlag(name: string): name is ServeFlag {
  return Object.hasOwn(SERVE_FLAGS, name);
}

/** The environment variable that stands for a flag. */
export function variableOf(name: ServeFlag): string {
  return `ETCD_${name.toUpperCase().replaceAll('-', '_')}`;
}
