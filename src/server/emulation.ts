/** Which release of etcd a server says it is. Clients and tools go by it; the behaviour is that of the line. */
import type { Version } from '../store/schema/buckets.ts';

/** The releases that the answers were compared with. */
const RELEASES: Record<Version, string> = {
  '3.4': '3.5.35',
  '3.5': '3.5.35',
  '3.6': '3.6.16',
  '3.7': '3.7.3',
};

export function releaseOf(version: Version): string {
  return RELEASES[version];
}
