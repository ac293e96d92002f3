import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configOf, logSettings } from '../../../src/cli/serve/config.ts';
import { collectSettings, type Note } from '../../../src/cli/serve/settings.ts';
import { defaultConfig, type ServerConfig } from '../../../src/server/config.ts';

type Texts = Record<string, string>;

function configure(flags: Texts, defaultHost?: string): { config: ServerConfig; notes: Note[] } {
  const { settings, notes } = collectSettings({ flags: new Map(Object.entries(flags)), environment: {} });
  return { config: configOf(settings, { defaultHost, lockTimeoutMs: 10_000 }, notes), notes };
}

const configured = (flags: Texts, defaultHost?: string): ServerConfig => configure(flags, defaultHost).config;

test('without flags it is the default configuration', () => {
  assert.deepEqual(configured({}), defaultConfig());
});

test('what the flags decide', () => {
  const cases: [Texts, Partial<ServerConfig>][] = [
    [{ 'quota-backend-bytes': '0' }, { quotaBytes: 2 ** 31 }],
    [{ 'quota-backend-bytes': '-1' }, { quotaBytes: -1 }],
    [{ 'snapshot-count': '0' }, { snapshotCount: 10_000 }],
    [
      { 'snapshot-count': '7', 'max-wals': '0' },
      { snapshotCount: 7, walsMax: 0 },
    ],
    [
      { 'backend-batch-interval': '5ms', 'backend-batch-limit': '9' },
      { backendBatchIntervalMs: 5, backendBatchLimit: 9 },
    ],
    [{ 'auto-compaction-retention': '1' }, { autoCompaction: { mode: 'periodic', retentionMs: 3_600_000 } }],
    [{ 'auto-compaction-retention': '5m' }, { autoCompaction: { mode: 'periodic', retentionMs: 300_000 } }],
    [{ 'auto-compaction-retention': '0' }, { autoCompaction: undefined }],
    [{ 'auto-compaction-mode': 'revision' }, { autoCompaction: undefined }],
    [
      { 'auto-compaction-mode': 'revision', 'auto-compaction-retention': '1000' },
      { autoCompaction: { mode: 'revision', retention: 1000 } },
    ],
    [{ emulate: '3.5' }, { emulate: '3.5' }],
    [
      {
        'max-connections': '10',
        'max-total-streams': '20',
        'max-queued-bytes': '30',
        'max-header-bytes': '4096',
        'max-pending-logins': '50',
        'handshake-timeout': '5s',
        'request-read-timeout': '500ms',
      },
      {
        clients: {
          connectionsMax: 10,
          streamsMax: 20,
          queuedBytesMax: 30,
          headerBytesMax: 4096,
          pendingLoginsMax: 50,
          handshakeTimeoutMs: 5000,
          requestTimeoutMs: 500,
        },
      },
    ],
    [{ 'no-lock': 'true' }, { allowUnlocked: true }],
    [{ metrics: 'extensive' }, { isMetricsExtensive: true }],
    [{ 'feature-gates': 'LeaseCheckpoint=true,LeaseCheckpointPersist=true' }, { isLeaseCheckpointed: true }],
    [{ 'host-whitelist': 'a,b' }, { hostWhitelist: ['a', 'b'] }],
    [{ 'log-level': 'panic' }, { log: { level: 'fatal', format: 'json', outputs: ['stderr'] } }],
    [
      { 'log-outputs': 'stdout,x.log', 'log-format': 'console' },
      { log: { level: 'info', format: 'console', outputs: ['stdout', 'x.log'] } },
    ],
    [{ 'log-outputs': '/dev/null' }, { log: { level: 'info', format: 'json', outputs: [] } }],
  ];
  for (const [flags, expected] of cases)
    assert.deepEqual(configured(flags), { ...defaultConfig(), ...expected }, JSON.stringify(flags));
});

test('a member: directory, name and cluster follow from one another', () => {
  const named = configured({ name: 'm1' });
  assert.deepEqual(named.target, {
    kind: 'member',
    dataDir: 'm1.etcd',
    walDir: undefined,
    isForcedNew: false,
  });
  assert.equal(named.firstStart.initialCluster, 'm1=http://localhost:2380');
  const placed = configured({ name: 'm1', 'initial-advertise-peer-urls': 'http://h:2,http://h:1' });
  assert.equal(placed.firstStart.initialCluster, 'm1=http://h:1,m1=http://h:2');
  const told = configured({ name: 'm1', 'initial-cluster': 'm1=http://x:1', 'data-dir': 'd' });
  assert.equal(told.firstStart.initialCluster, 'm1=http://x:1');
  assert.equal(told.target.kind === 'member' && told.target.dataDir, 'd');
});

test('a mount takes what is served from its own flags', () => {
  const { target, advertiseClientUrls } = configured({
    snapshot: 'b.db',
    rev: '7',
    'listen-client-urls': 'http://127.0.0.1:0',
  });
  assert.deepEqual(target, {
    kind: 'mount',
    path: 'b.db',
    walDir: undefined,
    revision: 7,
    isScratch: false,
    isAuthSkipped: false,
  });
  assert.deepEqual(advertiseClientUrls, ['http://127.0.0.1:0']);
});

test('listening on every interface advertises this host, as etcd does', () => {
  const flags = {
    'listen-client-urls': 'http://0.0.0.0:4001',
    'advertise-client-urls': 'http://localhost:2379',
    'listen-peer-urls': 'http://0.0.0.0:4002',
  };
  const { config, notes } = configure(flags, '10.0.0.9');
  assert.deepEqual(config.advertiseClientUrls, ['http://10.0.0.9:4001']);
  assert.deepEqual(config.peerUrls, ['http://10.0.0.9:4002']);
  assert.ok(notes.some((note) => note.message === 'detected default host for advertise'));
  assert.deepEqual(configured(flags).advertiseClientUrls, ['http://localhost:2379']);
  const own = { ...flags, 'advertise-client-urls': 'http://127.0.0.1:1' };
  assert.deepEqual(configured(own, '10.0.0.9').advertiseClientUrls, ['http://127.0.0.1:1']);
});

test('contradictions and mistakes are told, in the words of etcd where it has them', () => {
  const wrong: [Texts, string | RegExp][] = [
    [
      { 'listen-client-urls': 'http://127.0.0.1:1' },
      '--advertise-client-urls is required when --listen-client-urls is set explicitly',
    ],
    [{ 'advertise-client-urls': 'localhost' }, /^--advertise-client-urls: URL scheme must be http/],
    [{ 'auto-compaction-mode': 'hourly' }, 'unknown auto-compaction-mode "hourly"'],
    [{ 'auto-compaction-mode': '' }, 'undefined auto-compaction-mode'],
    [
      { 'auto-compaction-retention': '-5' },
      'error parsing CompactionRetention: time: missing unit in duration "-5"',
    ],
    [
      { 'auto-compaction-mode': 'revision', 'auto-compaction-retention': '5m' },
      '--auto-compaction-retention: "5m" is not a number of revisions',
    ],
    [{ emulate: '3.4' }, '--emulate takes 3.5, 3.6, 3.7, not "3.4"'],
    [{ metrics: 'all' }, '--metrics takes basic, extensive, not "all"'],
    [{ 'initial-cluster-state': 'old' }, '--initial-cluster-state takes new, existing, not "old"'],
    [{ 'max-concurrent-streams': '4294967296' }, '--max-concurrent-streams: does not fit into 32 bits'],
    [{ 'handshake-timeout': '0' }, '--handshake-timeout: must be longer than nothing'],
    [{ 'max-connections': '0' }, /--max-connections/],
    [{ rev: '5' }, '--rev: goes with --snapshot: a member is served as it is'],
    [{ snapshot: 'x', 'no-lock': 'true' }, '--no-lock: goes without --snapshot, which names what is served'],
    [{ snapshot: 'x', 'data-dir': 'y' }, '--data-dir: goes without --snapshot, which names what is served'],
    [{ 'heartbeat-interval': '500' }, /^--election-timeout\[1000ms\] should be at least as 5 times/],
    [{ 'feature-gates': 'Nonsense=true' }, 'unrecognized feature gate: Nonsense'],
    [
      { 'feature-gates': 'StopGRPCServiceOnDefrag=true' },
      'feature gate StopGRPCServiceOnDefrag: this server goes on serving while it defragments',
    ],
    [
      { 'feature-gates': 'LeaseCheckpointPersist=true' },
      'enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint',
    ],
    [{ logger: 'capnslog' }, '--logger=capnslog is removed in v3.5'],
    [{ logger: 'other' }, 'unknown logger option "other"'],
    [{ 'log-format': 'xml' }, 'unknown log format: xml, supported values json, console'],
    [{ 'log-level': 'loud' }, /^--log-level: takes debug, info, warn, error/],
    [{ 'log-outputs': 'default,x' }, 'multi logoutput for "default" is not supported yet'],
    [
      { 'log-outputs': 'systemd/journal' },
      '--log-outputs: this server cannot write to the socket of the journal',
    ],
  ];
  for (const [flags, message] of wrong)
    assert.throws(() => configure(flags), { message }, JSON.stringify(flags));
});

test('the log is known before the rest is judged', () => {
  const flags = new Map([
    ['log-level', 'debug'],
    ['emulate', '9'],
  ]);
  assert.equal(logSettings(collectSettings({ flags, environment: {} }).settings).level, 'debug');
});
