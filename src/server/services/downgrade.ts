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
  const downgrade = new Downgrade(core, emulated);
  return unary(downgradeRequest, downgradeResponse, ({ action, version }) => {
    switch (action) {
      case DOWNGRADE_ACTION.validate:
        return downgrade.answer(downgrade.validate(version).current);
      case DOWNGRADE_ACTION.enable:
        return downgrade.enable(version);
      case DOWNGRADE_ACTION.cancel:
        return downgrade.cancel();
      default:
        throw new RpcError(STATUS.unknown, 'etcdserver: unknown method');
    }
  });
}

class Downgrade {
  readonly #core: Core;
  readonly #emulated: Version;
  /** 3.5 knows the requests, and does nothing about them until an older etcd is started. */
  readonly #isMarkOnly: boolean;

  constructor(core: Core, emulated: Version) {
    this.#core = core;
    this.#emulated = emulated;
    this.#isMarkOnly = emulated === '3.4' || emulated === '3.5';
  }

  /** Names the version that the cluster had when it was asked. */
  answer(version: MinorVersion): Answer {
    const text = this.#isMarkOnly ? formatFull(version) : formatMinor(version);
    return { header: this.#core.header(), version: text };
  }

  #current(): MinorVersion {
    const current = clusterVersionOf(this.#core.backend);
    if (!current) throw etcdError('etcdserver: cluster version not found during downgrade');
    return current;
  }

  validate(version: string): { current: MinorVersion; target: MinorVersion } {
    const target = parseVersion(version);
    if (!target) throw etcdError('etcdserver: wrong downgrade target version format');
    const current = this.#current();
    if (target.major !== current.major || target.minor !== current.minor - 1)
      throw etcdError('etcdserver: invalid downgrade target version');
    if (downgradeOf(this.#core.backend).isEnabled)
      throw etcdError('etcdserver: cluster has a downgrade job in progress');
    return { current, target };
  }

  async enable(version: string): Promise<Answer> {
    const { log } = this.#core;
    try {
      const { current, target } = this.validate(version);
      const ver = formatFull(target);
      await this.#core.propose({ downgradeInfoSet: { enabled: true, ver } });
      await this.#become(target);
      log.info({ 'target-version': ver }, 'The server is ready to downgrade');
      return this.answer(current);
    } catch (error) {
      log.warn({ error: rpcErrorOf(error).message }, 'reject downgrade request');
      throw error;
    }
  }

  async cancel(): Promise<Answer> {
    const current = this.#current();
    if (downgradeOf(this.#core.backend).isEnabled) {
      await this.#core.propose({ downgradeInfoSet: { enabled: false, ver: '' } });
      await this.#become(parseVersion(this.#emulated)!);
    } else {
      const error = etcdError('etcdserver: no inflight downgrade job');
      // Since 3.6 the client is not told.
      if (this.#isMarkOnly) throw error;
      this.#core.log.warn({ error: error.message }, 'failed to cancel downgrade');
    }
    return this.answer(current);
  }

  async #become(version: MinorVersion): Promise<void> {
    if (this.#isMarkOnly) return;
    await this.#core.propose({ clusterVersionSet: { ver: formatFull(version) } });
    setStorageVersion(this.#core.backend, version);
  }
}
