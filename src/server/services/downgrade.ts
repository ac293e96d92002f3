/**
 * Downgrades, by the one minor version that etcd allows. A cluster of one needs nobody's consent, so what etcd's monitor
 * does within seconds is done at once: the cluster and the storage take the version that was asked for.
 * etcd v3.6 server/etcdserver/v3_server.go, server/etcdserver/version.
 */
import type { Input } from '../../format/proto/field.ts';
import {
  DOWNGRADE_ACTION,
  downgradeRequest,
  downgradeResponse,
} from '../../format/proto/maintenance-service.ts';
import type { Value } from '../../format/proto/message.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import type { UnaryHandler } from '../../rpc/seam.ts';
import type { Version } from '../../store/schema/buckets.ts';
import { formatFull, formatMinor, type MinorVersion, parseVersion } from '../../store/schema/migrate.ts';
import type { Core } from '../core.ts';
import { etcdError, rpcErrorOf } from '../rpc-errors.ts';
import { clusterVersionOf, downgradeOf, setStorageVersion } from '../versions.ts';
import { unary } from './method.ts';

type Answer = Input<Value<typeof downgradeResponse>>;

/** `emulated`: the etcd that the server stands for, to which a cancelled downgrade returns. */
export function downgradeHandler(core: Core, emulated: Version): UnaryHandler {
  return unary(downgradeRequest, downgradeResponse, ({ action, version }) => {
    switch (action) {
      case DOWNGRADE_ACTION.validate:
        return validate(core, version).answer;
      case DOWNGRADE_ACTION.enable:
        return enable(core, version);
      case DOWNGRADE_ACTION.cancel:
        return cancel(core, emulated);
      default:
        throw new RpcError(STATUS.unknown, 'etcdserver: unknown method');
    }
  });
}

/** What is answered names the version that the cluster has before. */
function validate(core: Core, version: string): { target: MinorVersion; answer: Answer } {
  const target = parseVersion(version);
  if (!target) throw etcdError('etcdserver: wrong downgrade target version format');
  const current = clusterVersionOf(core.backend);
  if (!current) throw etcdError('etcdserver: cluster version not found during downgrade');
  if (target.major !== current.major || target.minor !== current.minor - 1)
    throw etcdError('etcdserver: invalid downgrade target version');
  if (downgradeOf(core.backend).isEnabled)
    throw etcdError('etcdserver: cluster has a downgrade job in progress');
  return { target, answer: { header: core.header(), version: formatMinor(current) } };
}

async function enable(core: Core, version: string): Promise<Answer> {
  try {
    const { target, answer } = validate(core, version);
    await core.propose({ downgradeInfoSet: { enabled: true, ver: formatFull(target) } });
    await become(core, target);
    core.log.info({ 'target-version': formatFull(target) }, 'The server is ready to downgrade');
    return { ...answer, header: core.header() };
  } catch (error) {
    core.log.warn({ error: rpcErrorOf(error).message }, 'reject downgrade request');
    throw error;
  }
}

async function cancel(core: Core, emulated: Version): Promise<Answer> {
  const current = clusterVersionOf(core.backend);
  if (!current) throw etcdError('etcdserver: cluster version not found during downgrade');
  if (!downgradeOf(core.backend).isEnabled) {
    // Since 3.6 the client is not told.
    if (emulated === '3.5') throw etcdError('etcdserver: no inflight downgrade job');
    core.log.warn({ error: 'etcdserver: no inflight downgrade job' }, 'failed to cancel downgrade');
  } else {
    await core.propose({ downgradeInfoSet: { enabled: false, ver: '' } });
    await become(core, parseVersion(emulated)!);
  }
  return { header: core.header(), version: formatMinor(current) };
}

async function become(core: Core, version: MinorVersion): Promise<void> {
  await core.propose({ clusterVersionSet: { ver: formatFull(version) } });
  setStorageVersion(core.backend, version);
}
