/**
 * The one member with which a new directory begins. What its flags say decides its id and the cluster's, as in etcd;
 * what needs a second member is refused.
 */
import { RefusedError } from '../../errors.ts';
import type { Member } from '../../format/proto/member-json.ts';
import { planCluster } from '../../store/cluster-plan.ts';
import type { ServerConfig } from '../config.ts';

/** Throws `restore.membership` for contradictions, `server.config` for several members or one that is to join. */
export async function planFirstMember(
  config: Pick<ServerConfig, 'name' | 'peerUrls' | 'firstStart'>,
): Promise<{ clusterId: bigint; member: Member }> {
  const { initialCluster, token, state } = config.firstStart;
  const plan = await planCluster({
    initialCluster,
    token,
    local: { name: config.name, peerUrls: config.peerUrls.join(',') },
    learners: [],
  });
  if (plan.members.length > 1) {
    const names = plan.members.map((member) => member.name).join(', ');
    throw new RefusedError(
      'server.config',
      `--initial-cluster has ${plan.members.length} members (${names}); this server is one member and has no peers`,
      { hint: 'name this member alone, or start etcd where more than one is wanted' },
    );
  }
  if (state === 'existing') {
    throw new RefusedError(
      'server.config',
      '--initial-cluster-state existing joins a running cluster, and the directory holds no member; this server has no peers',
      {
        hint: 'leave the flag out to begin a new cluster, or give the directory of the member that was there',
      },
    );
  }
  return { clusterId: plan.id, member: plan.locals[0]! };
}
