/** Rows of bucket `lease`: eight bytes of id, and a leasepb.Lease that names the same id. */
import type { BoltFile } from '../format/bolt/file.ts';
import type { Page } from '../format/bolt/page.ts';
import { lease } from '../format/proto/leasepb.ts';
import { ToolError } from '../errors.ts';
import type { LeaseIdSet } from '../store/schema/lease-ids.ts';

const ID_SIZE = 8;

/** Collects the ids of a leaf; what is malformed goes to the checker. */
export function checkLeaseRows(page: Page, ids: LeaseIdSet, bolt: BoltFile): void {
  for (let i = 0; i < page.count; i++) {
    const at = page.keyStart(i) - page.start;
    const problem = addLease(page, i, ids);
    if (problem) bolt.checker.found('schema.lease', page, problem, at);
  }
}

function addLease(page: Page, index: number, ids: LeaseIdSet): string | undefined {
  const key = page.key(index);
  if (key.length !== ID_SIZE) return `a lease id has ${key.length} bytes, expected ${ID_SIZE}`;
  const view = new DataView(key.buffer, key.byteOffset, ID_SIZE);
  ids.add(view.getUint32(4), view.getUint32(0));
  const id = view.getBigInt64(0);
  try {
    const value = page.value(index);
    const row = lease.decode(value);
    if (row.id !== id) return `lease ${id.toString(16)} names itself ${row.id.toString(16)}`;
    if (row.ttl <= 0n) return `lease ${id.toString(16)} has a time to live of ${row.ttl} s`;
    const { ttl, remainingTtl } = row;
    const isCanonical = Buffer.compare(lease.encode({ id, ttl, remainingTtl }), value) === 0;
    return isCanonical
      ? undefined
      : `the row of lease ${id.toString(16)} holds fields that etcd does not write`;
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return `the row of lease ${id.toString(16)} does not decode: ${error.message}`;
  }
}
