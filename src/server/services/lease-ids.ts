/** Ids of leases that the server chooses. */
import type { Leases } from '../../store/apply/leases.ts';

const POSITIVE = (1n << 63n) - 1n;

/** An id that is positive as an int64, and that no lease has; `random` gives 64 random bits. */
export function freshLeaseId(leases: Pick<Leases, 'has'>, random: () => bigint): bigint {
  for (;;) {
    const id = random() & POSITIVE;
    if (id !== 0n && !leases.has(id)) return id;
  }
}
