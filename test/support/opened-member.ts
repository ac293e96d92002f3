/** Members opened as the server opens them, and written to as it writes: log, sync, apply. */
import { realDisk } from '../../src/bytes/disk.ts';
import { Pacer } from '../../src/bytes/pacer.ts';
import { clusterId, memberId } from '../../src/format/ids.ts';
import { internalRaftRequest } from '../../src/format/proto/rpcpb.ts';
import type { Input } from '../../src/format/proto/field.ts';
import type { InternalRaftRequest } from '../../src/format/proto/rpcpb.ts';
import type { EntryInput } from '../../src/format/wal/frames.ts';
import type { OpenedMember, OpenMemberOptions } from '../../src/server/start/member-options.ts';
import { raftSnapshotOf } from '../../src/server/start/membership.ts';
import { openMember } from '../../src/server/start/start.ts';

export const TOKEN = 'etcd-cluster';
const NAME = 'm1';
const PEER_URL = 'http://127.0.0.1:2380';
const CLIENT_URL = 'http://127.0.0.1:2379';

export interface Said {
  level: 'debug' | 'info' | 'warn' | 'error';
  message: string;
  fields: object;
}

/** A log that remembers. */
export function rememberingLog(): { log: OpenMemberOptions['log']; said: Said[] } {
  const said: Said[] = [];
  const at =
    (level: Said['level']) =>
    (fields: object, message: string): void =>
      void said.push({ level, message, fields });
  return { log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, said };
}

/** The options of a member that is to begin, and for one that was there before. */
export function memberOptions(
  dataDir: string,
  { peerUrl = PEER_URL, ...over }: Partial<OpenMemberOptions> & { peerUrl?: string } = {},
): OpenMemberOptions {
  const name = over.name ?? NAME;
  const id = memberId({ peerUrls: [peerUrl], token: TOKEN });
  const member = { id, name, peerUrls: [peerUrl], isLearner: false, clientUrls: [] };
  return {
    dataDir,
    name,
    advertiseClientUrls: [CLIENT_URL],
    firstMember: async () => ({ clusterId: clusterId([id]), member }),
    disk: realDisk(),
    pacer: new Pacer(),
    log: rememberingLog().log,
    ...over,
  };
}

export function openAt(
  dataDir: string,
  over: Parameters<typeof memberOptions>[1] = {},
): Promise<OpenedMember> {
  return openMember(memberOptions(dataDir, over));
}

/** Appends requests as one batch. What it gives resolves when they are durable and applied; ask in the order of calls. */
export function beginAll(
  { log, applier, term, identity, requestIds }: OpenedMember,
  requests: ReadonlyArray<Input<InternalRaftRequest>>,
): () => Promise<void> {
  const first = log.lastIndex + 1;
  const entries = requests.map((request, i): EntryInput & { data: Uint8Array } => {
    const data = internalRaftRequest.encode({ header: { id: requestIds.next() }, ...request });
    return { type: 0, term, index: first + i, data };
  });
  // What is applied was durable before.
  log.append(entries, { term, vote: identity.memberId, commit: applier.consistentIndex });
  const synced = log.sync();
  return async () => {
    await synced;
    for (const entry of entries) applier.apply(entry);
  };
}

/** Puts `count` keys of their own, in batches; every second time through a commit of the backend. */
export async function putKeys(
  member: OpenedMember,
  prefix: string,
  count: number,
  valueBytes = 40,
): Promise<void> {
  const BATCH = 16;
  for (let at = 0; at < count; at += BATCH) {
    const requests = Array.from({ length: Math.min(BATCH, count - at) }, (_, i) => ({
      put: {
        key: Buffer.from(`${prefix}${at + i}`),
        value: Buffer.from(`${at + i}`.padEnd(valueBytes, '.')),
      },
    }));
    await beginAll(member, requests)();
    if ((at / BATCH) % 2 === 1) await member.backend.commit();
  }
}

/** Takes a raft snapshot of what is applied. */
export async function takeSnapshot(member: OpenedMember): Promise<number> {
  const { applier, backend, log, term } = member;
  const index = applier.consistentIndex;
  const snapshot = raftSnapshotOf(member, { term, index });
  await backend.commit();
  await log.saveSnapshot(snapshot);
  log.release(index);
  return index;
}
