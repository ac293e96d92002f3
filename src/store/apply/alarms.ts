/** Alarms that are active: rows of bucket `alarm`, and what they refuse. etcd v3.6 server/etcdserver/api/v3alarm. */
import type { ToolError } from '../../errors.ts';
import type { RequestName } from '../../format/proto/request.ts';
import {
  ALARM_ACTION,
  ALARM_TYPE,
  type AlarmMember,
  type AlarmRequest,
  alarmMember,
  type InternalRaftRequest,
} from '../../format/proto/rpcpb.ts';
import type { Backend } from '../backend/backend.ts';
import { costOf } from './quota.ts';
import { rejected } from './rejected.ts';

const CORRUPT_REFUSES: readonly RequestName[] = [
  'range',
  'put',
  'deleteRange',
  'txn',
  'compaction',
  'leaseGrant',
  'leaseRevoke',
];

/** The answer where the database has no room. */
export function noSpace(): ToolError {
  return rejected('etcdserver: mvcc: database space exceeded');
}

export class Alarms {
  readonly #backend: Backend;
  /** In the order of their rows. */
  #active: readonly AlarmMember[];

  constructor(backend: Backend) {
    this.#backend = backend;
    this.#active = readAlarms(backend);
  }

  /** Those of a type; type `none` asks for all. */
  list(type: number = ALARM_TYPE.none): readonly AlarmMember[] {
    return type === ALARM_TYPE.none ? this.#active : this.#active.filter(({ alarm }) => alarm === type);
  }

  /** Gives the alarms that were asked for, or the one that is active now, or no more; none where none was meant. */
  apply({ action, memberId, alarm }: AlarmRequest): readonly AlarmMember[] {
    if (action === ALARM_ACTION.get) return this.list(alarm);
    const isKnown = this.#active.some((one) => one.memberId === memberId && one.alarm === alarm);
    const row = alarmMember.encode({ memberId, alarm });
    if (action === ALARM_ACTION.activate && alarm !== ALARM_TYPE.none) {
      if (!isKnown) this.#backend.put('alarm', row, new Uint8Array());
    } else if (action === ALARM_ACTION.deactivate && isKnown) this.#backend.delete('alarm', row);
    else return [];
    this.#active = readAlarms(this.#backend);
    return [{ memberId, alarm }];
  }

  /** A full disk refuses what needs room, data that is in doubt refuses nearly everything. Throws a rejection. */
  check(name: RequestName, request: InternalRaftRequest): void {
    if (this.#active.length === 0) return;
    const isActive = (type: number): boolean => this.list(type).length > 0;
    if (CORRUPT_REFUSES.includes(name) && isActive(ALARM_TYPE.corrupt))
      throw rejected('etcdserver: corrupt cluster');
    if (costOf(request) > 0 && isActive(ALARM_TYPE.nospace)) throw noSpace();
  }
}

function readAlarms(backend: Backend): AlarmMember[] {
  return [...backend.scan('alarm')].map(({ key }) => alarmMember.decode(key));
}
