/**
 * The Cluster service of a cluster with one voter. etcd v3.6 server/etcdserver/api/v3rpc/member.go and
 * server/etcdserver/server.go.
 */
import { ascending } from '../../bytes/order.ts';
import {
  memberAddRequest,
  memberAddResponse,
  memberListRequest,
  memberListResponse,
  memberPromoteRequest,
  memberPromoteResponse,
  memberRemoveRequest,
  memberRemoveResponse,
  memberUpdateRequest,
  memberUpdateResponse,
} from '../../format/proto/cluster-service.ts';
import type { ResponseHeader } from '../../format/proto/kvpb.ts';
import { encodeMember, type Member } from '../../format/proto/member-json.ts';
import { CONF_CHANGE_TYPE } from '../../format/proto/raftpb.ts';
import type { Methods } from '../../rpc/seam.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import type { Access } from '../auth/access.ts';
import type { Core } from '../core.ts';
import { etcdError, readOnlyError } from '../rpc-errors.ts';
import { areMemberUrls } from './member-urls.ts';
import { unary } from './method.ts';

const BLANK = { name: '', clientUrls: [], isLearner: false };

export function clusterService(core: Core, { access }: { access: Access }): Methods {
  // No response of this service says at which revision it was made.
  const answer = (): { header: ResponseHeader; members: Member[] } => ({
    header: { ...core.header(), revision: 0 },
    members: membersOf(core),
  });

  return {
    unary: {
      // All that was acknowledged is applied here, so a linearizable list is no other list.
      '/etcdserverpb.Cluster/MemberList': unary(memberListRequest, memberListResponse, answer),
      '/etcdserverpb.Cluster/MemberAdd': unary(
        memberAddRequest,
        memberAddResponse,
        async ({ peerUrls }, call) => {
          if (!areMemberUrls(peerUrls)) throw etcdError('etcdserver: given member URLs are invalid');
          (await access.callerOf(call)).requireRoot();
          if (membersOf(core).some((member) => member.peerUrls.some((url) => peerUrls.includes(url))))
            throw etcdError('etcdserver: Peer URLs already exists');
          throw core.isReadOnly ? readOnlyError() : handOver();
        },
      ),
      '/etcdserverpb.Cluster/MemberRemove': unary(
        memberRemoveRequest,
        memberRemoveResponse,
        async ({ id }) => {
          if (!core.isReadOnly && memberOf(core, id)?.isLearner === false) throw lastVoter();
          await core.proposeChange({ type: CONF_CHANGE_TYPE.removeNode, nodeId: id });
          return answer();
        },
      ),
      '/etcdserverpb.Cluster/MemberUpdate': unary(
        memberUpdateRequest,
        memberUpdateResponse,
        async ({ id, peerUrls }) => {
          // etcd leaves this to its client; URLs that nobody can listen on would keep it from starting again.
          if (!areMemberUrls(peerUrls)) throw etcdError('etcdserver: given member URLs are invalid');
          const context = encodeMember({ ...BLANK, id, peerUrls });
          await core.proposeChange({ type: CONF_CHANGE_TYPE.updateNode, nodeId: id, context });
          return answer();
        },
      ),
      '/etcdserverpb.Cluster/MemberPromote': unary(memberPromoteRequest, memberPromoteResponse, ({ id }) => {
        const member = memberOf(core, id);
        if (!member) throw etcdError('etcdserver: member not found');
        // Nothing here replicates to a learner, so none is ever in sync.
        throw etcdError(
          member.isLearner
            ? 'etcdserver: can only promote a learner member which is in sync with leader'
            : 'etcdserver: can only promote a learner member',
        );
      }),
    },
  };
}

function membersOf({ applier }: Core): Member[] {
  return applier.cluster.members().sort((a, b) => ascending(a.id, b.id));
}

function memberOf({ applier }: Core, id: bigint): Member | undefined {
  return applier.cluster.members().find((member) => member.id === id);
}

/** etcd loses the status of this one on its way out. */
function lastVoter(): RpcError {
  return new RpcError(
    STATUS.unknown,
    'etcdserver: re-configuration failed due to not enough started members',
  );
}

function handOver(): RpcError {
  return new RpcError(
    STATUS.failedPrecondition,
    'etcdkit: this server is a cluster of one member and cannot replicate; to add members stop it, start etcd on its ' +
      'data directory, and run member add again',
  );
}
