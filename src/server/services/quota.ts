/** How large the database may grow, and the alarm that says it is full. etcd v3.6 server/etcdserver/api/v3rpc/quota.go. */
import { ALARM_ACTION, ALARM_TYPE } from '../../format/proto/rpcpb.ts';
import type { RpcError } from '../../rpc/status.ts';
import type { Core } from '../core.ts';
import { etcdError } from '../rpc-errors.ts';

/** Whether so many bytes more are within a quota; what costs nothing always is. */
export function hasRoom({ sizeBytes }: { sizeBytes: number }, quotaBytes: number, cost: number): boolean {
  return quotaBytes < 0 || cost === 0 || sizeBytes + cost < quotaBytes;
}

/**
 * Rejects with NOSPACE where a request of this cost would exceed the quota; the alarm is raised then. Gives nothing to
 * wait for where there is room.
 */
export function admit(core: Core, quotaBytes: number, cost: number): Promise<void> | undefined {
  // The log could still take what the database cannot, and memory would grow with it. It passes, so it is no alarm.
  if (cost > 0 && core.isDiskFull) throw noRoom();
  return hasRoom(core.backend, quotaBytes, cost) ? undefined : refuse(core);
}

const noRoom = (): RpcError => etcdError('etcdserver: mvcc: database space exceeded');

async function refuse(core: Core): Promise<void> {
  const { memberId } = core.identity;
  const alarm = ALARM_TYPE.nospace;
  const isRaised = core.applier.alarms().some((one) => one.memberId === memberId && one.alarm === alarm);
  // Differs from etcd, which writes an entry for every request that finds no room.
  if (!isRaised) await core.propose({ alarm: { action: ALARM_ACTION.activate, memberId, alarm } });
  throw noRoom();
}
