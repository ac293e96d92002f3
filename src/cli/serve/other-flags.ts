/**
 * Flags of etcd 3.5 to 3.7 that decide nothing here: those that are taken because one member is the same with any
 * value, those that are refused because this server cannot do what they ask, and old names.
 */
import { alias, gate, idle, refused } from './flag-row.ts';

const NO_PEERS = 'one member talks to no peers, so no peer port is opened';
const NO_ELECTION = 'one member elects itself at once';
const NO_COMPARISON = 'there is no other member to compare hashes with';
const NO_DISCOVERY_USE = 'this member is not found by discovery';
const NO_PROXY = 'this server is no proxy';
const NO_V2 = 'there is no v2 store; what a snapshot file needs of it follows from the emulated version';
const OWN_SLICES = 'compaction runs in slices between requests, whose size follows the load';

const NO_DISCOVERY = 'this server is one member and finds no others; name it with --initial-cluster';
const NO_TRACING = 'this server sends no traces';
const NO_ROTATION = 'this server does not rotate its log; logrotate with copytruncate does';

export const OTHER_FLAGS = {
  'raft-read-timeout': idle('duration', NO_PEERS),
  'raft-write-timeout': idle('duration', NO_PEERS),
  'peer-cert-file': idle('text', NO_PEERS),
  'peer-key-file': idle('text', NO_PEERS),
  'peer-client-cert-auth': idle('boolean', NO_PEERS),
  'peer-client-cert-file': idle('text', NO_PEERS),
  'peer-client-key-file': idle('text', NO_PEERS),
  'peer-trusted-ca-file': idle('text', NO_PEERS),
  'peer-cert-allowed-cn': idle('list', NO_PEERS),
  'peer-cert-allowed-hostname': idle('list', NO_PEERS),
  'peer-auto-tls': idle('boolean', NO_PEERS),
  'peer-crl-file': idle('text', NO_PEERS),
  'peer-skip-client-san-verification': idle('boolean', NO_PEERS),
  'strict-reconfig-check': idle('boolean', 'members cannot be added, so no change can lose the quorum'),
  'max-learners': idle('integer', 'members cannot be added, so there are no learners'),
  'pre-vote': idle('boolean', NO_ELECTION),
  'initial-election-tick-advance': idle('boolean', NO_ELECTION),
  'snapshot-catchup-entries': idle('integer', 'there is no other member that has to catch up'),
  'corrupt-check-time': idle('duration', NO_COMPARISON),
  'compact-hash-check-time': idle('duration', NO_COMPARISON),
  'downgrade-check-time': idle('duration', 'there is no other member whose version could differ'),
  'v2-deprecation': idle('text', NO_V2),
  'compaction-batch-limit': idle('integer', OWN_SLICES),
  'compaction-sleep-interval': idle('duration', OWN_SLICES),
  'backend-bbolt-freelist-type': idle('text', 'it says how etcd keeps free pages in memory, not in the file'),
  'socket-reuse-address': idle('boolean', 'listeners are always opened so'),
  'discovery-fallback': idle('text', NO_DISCOVERY_USE),
  'discovery-dial-timeout': idle('duration', NO_DISCOVERY_USE),
  'discovery-request-timeout': idle('duration', NO_DISCOVERY_USE),
  'discovery-keepalive-time': idle('duration', NO_DISCOVERY_USE),
  'discovery-keepalive-timeout': idle('duration', NO_DISCOVERY_USE),
  'discovery-insecure-transport': idle('boolean', NO_DISCOVERY_USE),
  'discovery-insecure-skip-tls-verify': idle('boolean', NO_DISCOVERY_USE),
  'proxy-dial-timeout': idle('integer', NO_PROXY),
  'proxy-failure-wait': idle('integer', NO_PROXY),
  'proxy-read-timeout': idle('integer', NO_PROXY),
  'proxy-refresh-interval': idle('integer', NO_PROXY),
  'proxy-write-timeout': idle('integer', NO_PROXY),
  'log-rotation-config-json': idle('text', 'the log is not rotated'),
  'distributed-tracing-address': idle('text', NO_TRACING),
  'distributed-tracing-service-name': idle('text', NO_TRACING),
  'distributed-tracing-instance-id': idle('text', NO_TRACING),
  'distributed-tracing-sampling-rate': idle('integer', NO_TRACING),

  'enable-pprof': refused(
    'boolean',
    'profiles of the Go runtime cannot be had from Node; node --cpu-prof can',
  ),
  'enable-log-rotation': refused('boolean', NO_ROTATION),
  'enable-distributed-tracing': refused('boolean', NO_TRACING),
  'memory-mlock': refused('boolean', 'Node cannot keep its memory from being swapped out'),
  'socket-reuse-port': refused('boolean', 'Node cannot share a port between processes so'),
  'unsafe-no-fsync': refused('boolean', 'this server never answers a write before it is on the disk'),
  'bootstrap-defrag-threshold-megabytes': refused(
    'integer',
    'this server does not defragment when it starts; run etcdkit defrag before it',
  ),
  discovery: refused('text', NO_DISCOVERY),
  'discovery-endpoints': refused('list', NO_DISCOVERY),
  'discovery-token': refused('text', NO_DISCOVERY),
  'discovery-proxy': refused('text', NO_DISCOVERY),
  'discovery-srv': refused('text', NO_DISCOVERY),
  'discovery-srv-name': refused('text', NO_DISCOVERY),
  'discovery-cert': refused('text', NO_DISCOVERY),
  'discovery-key': refused('text', NO_DISCOVERY),
  'discovery-cacert': refused('text', NO_DISCOVERY),
  'discovery-user': refused('text', NO_DISCOVERY),
  'discovery-password': refused('text', NO_DISCOVERY),
  'enable-v2': refused('boolean', 'there is no v2 API'),
  proxy: refused('text', NO_PROXY, ['', 'off']),
  'experimental-enable-v2v3': refused('text', 'there is no v2 API'),

  'experimental-corrupt-check-time': alias('duration', 'corrupt-check-time'),
  'experimental-compact-hash-check-time': alias('duration', 'compact-hash-check-time'),
  'experimental-compaction-batch-limit': alias('integer', 'compaction-batch-limit'),
  'experimental-compaction-sleep-interval': alias('duration', 'compaction-sleep-interval'),
  'experimental-watch-progress-notify-interval': alias('duration', 'watch-progress-notify-interval'),
  'experimental-warning-apply-duration': alias('duration', 'warning-apply-duration'),
  'experimental-warning-unary-request-duration': alias('duration', 'warning-unary-request-duration'),
  'experimental-bootstrap-defrag-threshold-megabytes': alias(
    'integer',
    'bootstrap-defrag-threshold-megabytes',
  ),
  'experimental-memory-mlock': alias('boolean', 'memory-mlock'),
  'experimental-snapshot-catchup-entries': alias('integer', 'snapshot-catchup-entries'),
  'experimental-downgrade-check-time': alias('duration', 'downgrade-check-time'),
  'experimental-max-learners': alias('integer', 'max-learners'),
  'experimental-peer-skip-client-san-verification': alias('boolean', 'peer-skip-client-san-verification'),
  'experimental-enable-distributed-tracing': alias('boolean', 'enable-distributed-tracing'),
  'experimental-distributed-tracing-address': alias('text', 'distributed-tracing-address'),
  'experimental-distributed-tracing-service-name': alias('text', 'distributed-tracing-service-name'),
  'experimental-distributed-tracing-instance-id': alias('text', 'distributed-tracing-instance-id'),
  'experimental-distributed-tracing-sampling-rate': alias('integer', 'distributed-tracing-sampling-rate'),

  'experimental-initial-corrupt-check': gate('InitialCorruptCheck'),
  'experimental-compact-hash-check-enabled': gate('CompactHashCheck'),
  'experimental-txn-mode-write-with-shared-buffer': gate('TxnModeWriteWithSharedBuffer'),
  'experimental-enable-lease-checkpoint': gate('LeaseCheckpoint'),
  'experimental-enable-lease-checkpoint-persist': gate('LeaseCheckpointPersist'),
  'experimental-stop-grpc-service-on-defrag': gate('StopGRPCServiceOnDefrag'),
} as const;
