/** The server's flags that decide something, with etcd 3.6's defaults (server/embed/config.go). */
import { used } from './flag-row.ts';

const MEMBER = 'Member';
const LISTEN = 'Listening';
const CLUSTER = 'Clustering';
const TLS = 'TLS';
const STORAGE = 'Storage';
const LIMITS = 'Limits';
const AUTH = 'Authentication';
const LOGGING = 'Logging and monitoring';
const MOUNT = 'A backup instead of a member';
const UNSAFE = 'Unsafe';

export const USED_FLAGS = {
  name: used(MEMBER, 'text', 'Human-readable name of this member', { default: 'default' }),
  'data-dir': used(MEMBER, 'text', 'Data directory (default: ${name}.etcd)'),
  'wal-dir': used(MEMBER, 'text', 'Where the log is, when it is not in the data directory'),
  'config-file': used(
    MEMBER,
    'text',
    "YAML file with etcd's keys, instead of other flags and the environment",
  ),
  emulate: used(
    MEMBER,
    'text',
    "Version of etcd whose encodings and answers are given (default: the directory's, 3.6 for a new one)",
    { words: ['3.5', '3.6', '3.7'] },
  ),
  'shutdown-timeout': used(MEMBER, 'duration', 'How long calls may go on after SIGTERM', { default: '10s' }),
  'no-lock': used(
    MEMBER,
    'boolean',
    'Go on where this host cannot lock a file; make sure that no etcd runs on it',
  ),
  version: used(MEMBER, 'boolean', 'Print the version'),

  'listen-client-urls': used(LISTEN, 'text', 'Where clients are answered, gRPC and HTTP', {
    default: 'http://localhost:2379',
  }),
  'listen-client-http-urls': used(
    LISTEN,
    'text',
    'Where HTTP alone is answered; the client URLs then answer gRPC alone',
  ),
  'listen-metrics-urls': used(LISTEN, 'text', 'Further places for /metrics, /health, /livez and /readyz'),
  'host-whitelist': used(LISTEN, 'list', 'Host names accepted in HTTP requests; * accepts all', {
    default: '*',
  }),
  cors: used(LISTEN, 'list', 'Origins that browsers may ask from; * accepts all', { default: '*' }),
  'enable-grpc-gateway': used(LISTEN, 'boolean', 'The API as JSON over HTTP below /v3/', { default: 'true' }),

  'cert-file': used(TLS, 'text', 'PEM file of the certificate for https and unixs URLs'),
  'key-file': used(TLS, 'text', 'PEM file of its key'),
  'trusted-ca-file': used(TLS, 'text', 'PEM file of the authorities that clients must have a certificate of'),
  'client-cert-auth': used(
    TLS,
    'boolean',
    'Clients must show a certificate, whose common name is their user',
  ),
  'client-cert-allowed-hostname': used(
    TLS,
    'list',
    "Host names, of which a client's certificate must have one",
  ),
  'client-cert-file': used(
    TLS,
    'text',
    'PEM file for calls that etcd makes to itself; this server makes none, but it must be good',
  ),
  'client-key-file': used(TLS, 'text', 'PEM file of its key; neither goes without the other'),
  'client-crl-file': used(TLS, 'text', 'DER file of certificates of clients that are revoked'),
  'auto-tls': used(TLS, 'boolean', 'Without files, make a certificate that signs itself'),
  'self-signed-cert-validity': used(TLS, 'integer', 'Years that such a certificate is good for', {
    min: 0,
    default: '1',
  }),
  'cipher-suites': used(TLS, 'list', "Cipher suites up to TLS 1.2, by Go's names (default: as Go)"),
  'tls-min-version': used(TLS, 'text', 'Oldest version of TLS', {
    words: ['TLS1.2', 'TLS1.3'],
    default: 'TLS1.2',
  }),
  'tls-max-version': used(TLS, 'text', 'Newest version of TLS (default: 1.3)', {
    words: ['TLS1.2', 'TLS1.3'],
  }),

  'advertise-client-urls': used(CLUSTER, 'text', 'Client URLs of this member, as clients are told them', {
    default: 'http://localhost:2379',
  }),
  'initial-advertise-peer-urls': used(
    CLUSTER,
    'text',
    "Peer URLs of this member; they decide a new member's id",
    { default: 'http://localhost:2380' },
  ),
  'listen-peer-urls': used(
    CLUSTER,
    'text',
    'Nobody listens there; 0.0.0.0 makes the default peer URL one of this host',
    { default: 'http://localhost:2380' },
  ),
  'initial-cluster': used(CLUSTER, 'text', 'Members of a new cluster: this one, name=url', {
    default: 'default=http://localhost:2380',
  }),
  'initial-cluster-token': used(CLUSTER, 'text', 'Token of a new cluster; it decides the ids', {
    default: 'etcd-cluster',
  }),
  'initial-cluster-state': used(CLUSTER, 'text', 'new, or existing where a member is there already', {
    words: ['new', 'existing'],
    default: 'new',
  }),

  'snapshot-count': used(STORAGE, 'integer', 'Entries between snapshots of the log', {
    min: 0,
    default: '10000',
  }),
  'max-snapshots': used(STORAGE, 'integer', 'Snapshot files kept; 0 keeps all', { min: 0, default: '5' }),
  'max-wals': used(STORAGE, 'integer', 'Log files kept; 0 keeps all', { min: 0, default: '5' }),
  'quota-backend-bytes': used(STORAGE, 'integer', 'Size of the database that raises NOSPACE; 0 is 2 GiB', {
    default: '0',
  }),
  'backend-batch-interval': used(STORAGE, 'duration', 'Longest time between commits (default: 100ms)'),
  'backend-batch-limit': used(STORAGE, 'integer', 'Most changes between commits; 0 is 10000', {
    min: 0,
    default: '0',
  }),
  'auto-compaction-mode': used(STORAGE, 'text', 'What the retention counts', {
    words: ['periodic', 'revision'],
    default: 'periodic',
  }),
  'auto-compaction-retention': used(
    STORAGE,
    'text',
    'Time (hours without a unit) or revisions of history to keep; 0 keeps all',
    { default: '0' },
  ),
  'feature-gates': used(STORAGE, 'text', 'Feature gates of etcd, Name=true,…'),

  'max-txn-ops': used(LIMITS, 'integer', 'Operations in a transaction', { min: 0, default: '128' }),
  'max-request-bytes': used(LIMITS, 'integer', 'Size of a request', { min: 0, default: '1572864' }),
  'max-concurrent-streams': used(LIMITS, 'integer', 'Calls open at a time on a connection', {
    min: 0,
    default: '4294967295',
  }),
  'max-connections': used(
    LIMITS,
    'integer',
    'Connections of clients; also no more than this process may have files open, less 150 as for etcd',
    { min: 1, default: '16384' },
  ),
  'max-total-streams': used(
    LIMITS,
    'integer',
    'Calls open at a time on all connections, beyond which each has eight',
    { min: 1, default: '32768' },
  ),
  'max-queued-bytes': used(
    LIMITS,
    'integer',
    'Memory for requests that are not complete and replies that are not taken; a connection may use a quarter of it',
    { min: 1, default: '536870912' },
  ),
  'max-header-bytes': used(LIMITS, 'integer', "Size of a request's headers", { min: 1024, default: '65536' }),
  'max-pending-logins': used(
    LIMITS,
    'integer',
    'Passwords that wait to be looked at, an eighth of them of one user',
    { min: 1, default: '128' },
  ),
  'handshake-timeout': used(
    LIMITS,
    'duration',
    'How long a connection may say nothing, at first or between HTTP requests',
    { default: '10s' },
  ),
  'request-read-timeout': used(
    LIMITS,
    'duration',
    'How long a request may take to come, and an answer over HTTP to be taken',
    { default: '1m' },
  ),
  'grpc-keepalive-min-time': used(LIMITS, 'duration', 'Least time between pings of a client', {
    default: '5s',
  }),
  'grpc-keepalive-interval': used(LIMITS, 'duration', 'Time between pings to a client; 0 sends none', {
    default: '2h',
  }),
  'grpc-keepalive-timeout': used(LIMITS, 'duration', 'How long a client may leave a ping unanswered', {
    default: '20s',
  }),
  'watch-progress-notify-interval': used(LIMITS, 'duration', 'Time between progress notes to watchers', {
    default: '10m',
  }),
  'heartbeat-interval': used(LIMITS, 'integer', 'Milliseconds; with the next, the least TTL of leases', {
    min: 0,
    default: '100',
  }),
  'election-timeout': used(LIMITS, 'integer', 'Milliseconds; decides the least TTL and request timeouts', {
    min: 0,
    default: '1000',
  }),

  'auth-token': used(
    AUTH,
    'text',
    'Kind of token: simple, or jwt,sign-method=METHOD,pub-key=FILE,priv-key=FILE,ttl=TIME',
    { default: 'simple' },
  ),
  'auth-token-ttl': used(AUTH, 'integer', 'Seconds that a simple token lives when nobody uses it', {
    min: 0,
    default: '300',
  }),
  'bcrypt-cost': used(AUTH, 'integer', 'Cost of hashing a new password; each more doubles it', {
    default: '10',
  }),

  logger: used(LOGGING, 'text', 'There is only zap, whose lines are imitated', {
    words: ['zap'],
    default: 'zap',
  }),
  'log-level': used(LOGGING, 'text', 'Least severe messages in the log (also panic, fatal)', {
    words: ['debug', 'info', 'warn', 'error'],
    default: 'info',
  }),
  'log-format': used(LOGGING, 'text', 'How messages are logged', {
    words: ['json', 'console'],
    default: 'json',
  }),
  'log-outputs': used(LOGGING, 'list', 'stderr, stdout, or files to append to', { default: 'default' }),
  'warning-apply-duration': used(LOGGING, 'duration', 'Time for a change after which it is logged', {
    default: '100ms',
  }),
  'warning-unary-request-duration': used(LOGGING, 'duration', 'Time for a call after which it is logged', {
    default: '300ms',
  }),
  metrics: used(LOGGING, 'text', 'extensive adds how long calls take', {
    words: ['basic', 'extensive'],
    default: 'basic',
  }),

  snapshot: used(MOUNT, 'text', 'Serve this backup, database file or data directory, without writing to it'),
  rev: used(MOUNT, 'integer', 'Revision to serve; 0 is the newest', { min: 0, default: '0' }),
  'insecure-skip-auth': used(
    MOUNT,
    'boolean',
    'Ask nobody who they are, although the backup has users: everybody who can connect is root',
  ),
  scratch: used(MOUNT, 'boolean', 'Accept writes, and throw them away at the end'),

  'force-new-cluster': used(UNSAFE, 'boolean', 'Make one member of a directory that several shared'),
} as const;
