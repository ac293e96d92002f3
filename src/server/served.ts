/** What a server serves: a member of its own, or something that is only looked at. */
import type { Version } from '../store/schema/buckets.ts';
import type { Core } from './core.ts';

export interface Served {
  core: Core;
  /** The line of etcd whose answers are given. */
  emulated: Version;
  /** Whether leases run out; in what is only looked at, time stands still. */
  isTimed: boolean;
  /** Ends it in order; nobody may ask anything any more. */
  stop(): Promise<void>;
}
