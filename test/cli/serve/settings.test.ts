import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isServeFlag, SERVE_FLAG_NAMES, SERVE_FLAGS } from '../../../src/cli/serve/flags.ts';
import { collectSettings } from '../../../src/cli/serve/settings.ts';
import { UnsupportedError, UsageError } from '../../../src/errors.ts';
import { scratch } from '../../support/scratch.ts';

type Texts = Record<string, string>;

const collect = (flags: Texts, environment: Texts = {}) =>
  collectSettings({ flags: new Map(Object.entries(flags)), environment });

const messages = ({ notes }: ReturnType<typeof collect>): string[] => notes.map((note) => note.message);

test('flags, variables, and etcd’s defaults for the rest', () => {
  const { settings } = collect({ name: 'a' }, { ETCD_SNAPSHOT_COUNT: '5', ETCD_MAX_WALS: '' });
  assert.equal(settings.text('name'), 'a');
  assert.equal(settings.integer('snapshot-count'), 5);
  assert.equal(settings.integer('max-wals'), 5);
  assert.equal(settings.duration('grpc-keepalive-interval'), 7_200_000);
  assert.equal(settings.duration('backend-batch-interval'), undefined);
  assert.deepEqual(settings.list('log-outputs'), ['default']);
  assert.equal(settings.isGiven('snapshot-count'), true);
  assert.equal(settings.isGiven('max-wals'), false);
});

test('a variable that a flag hides is a conflict, as for etcd', () => {
  assert.throws(() => collect({ name: 'a' }, { ETCD_NAME: 'a' }), {
    message:
      /^conflicting environment variable is shadowed by corresponding command-line flag .*: ETCD_NAME$/,
  });
});

test('variables are reported: the known ones, and those that nobody knows', () => {
  const { notes } = collect({}, { ETCD_NAME: 'a', ETCD_ROOT_PASSWORD: 'secret', ETCDCTL_API: '3' });
  assert.deepEqual(notes, [
    {
      level: 'info',
      fields: { 'variable-name': 'ETCD_NAME', 'variable-value': 'a' },
      message: 'recognized and used environment variable',
    },
    {
      level: 'warn',
      fields: { 'environment-variable': 'ETCD_ROOT_PASSWORD' },
      message: 'unrecognized environment variable',
    },
  ]);
});

test('the version that images set in the environment is no flag', () => {
  const collected = collect({}, { ETCD_VERSION: 'v3.6.16' });
  assert.equal(collected.settings.isGiven('version'), false);
  assert.deepEqual(messages(collected), ['unrecognized environment variable']);
});

test('our own flags are not read from the environment', () => {
  const collected = collect({ scratch: 'true' }, { ETCD_SNAPSHOT: 'x.db', ETCD_SCRATCH: 'false' });
  assert.equal(collected.settings.text('snapshot'), undefined);
  assert.equal(collected.settings.boolean('scratch'), true);
});

test('values that do not fit name where they came from', () => {
  const { settings } = collect({}, { ETCD_SNAPSHOT_COUNT: 'many' });
  assert.throws(() => settings.integer('snapshot-count'), {
    name: 'UsageError',
    message: 'ETCD_SNAPSHOT_COUNT: "many" is not a whole number',
  });
  assert.throws(() => collect({}, { ETCD_FORCE_NEW_CLUSTER: 'maybe' }), UsageError);
  assert.equal(collect({}, { ETCD_FORCE_NEW_CLUSTER: 'T' }).settings.boolean('force-new-cluster'), true);
});

test('every refused flag is refused with its reason, whatever gives it, unless it asks for nothing', () => {
  for (const name of SERVE_FLAG_NAMES) {
    const { kind, treatment } = SERVE_FLAGS[name];
    if (treatment.kind !== 'refused') continue;
    const value = kind === 'boolean' ? 'true' : kind === 'integer' ? '7' : 'something';
    assert.throws(
      () => collect({ [name]: value }),
      (error) => error instanceof UnsupportedError && error.message === `--${name}: ${treatment.reason}`,
      name,
    );
    for (const harmless of treatment.harmless) assert.doesNotThrow(() => collect({ [name]: harmless }), name);
  }
  assert.throws(() => collect({}, { ETCD_ENABLE_PPROF: 'true' }), {
    message: `ETCD_ENABLE_PPROF: ${(SERVE_FLAGS['enable-pprof'].treatment as { reason: string }).reason}`,
  });
});

test('every flag without effect is taken, and its reason goes to the log', () => {
  const samples = { text: 'x', list: 'x', boolean: 'true', integer: '7', duration: '7s' };
  for (const name of SERVE_FLAG_NAMES) {
    const { kind, treatment } = SERVE_FLAGS[name];
    if (treatment.kind !== 'idle') continue;
    const { notes, settings } = collect({ [name]: samples[kind] });
    assert.deepEqual(notes[0]?.fields, {
      setting: `--${name}`,
      value: samples[kind],
      reason: treatment.reason,
    });
    assert.equal(settings.isGiven(name), false);
  }
  assert.throws(() => collect({ 'max-learners': 'x' }), UsageError);
});

test('old names count as the new ones, with a warning, and not beside them', () => {
  const collected = collect({ 'experimental-watch-progress-notify-interval': '5s' });
  assert.equal(collected.settings.duration('watch-progress-notify-interval'), 5000);
  assert.deepEqual(messages(collected), [
    '--experimental-watch-progress-notify-interval is deprecated; use --watch-progress-notify-interval instead',
  ]);
  assert.throws(
    () =>
      collect({
        'experimental-snapshot-catchup-entries': '1',
        'snapshot-catchup-entries': '2',
      }),
    {
      message:
        'cannot set --experimental-snapshot-catchup-entries and --snapshot-catchup-entries at the same time, please use --snapshot-catchup-entries only',
    },
  );
  assert.throws(() => collect({ 'experimental-memory-mlock': 'true' }), UnsupportedError);
});

test('every old name and old switch is settled', () => {
  for (const name of SERVE_FLAG_NAMES) {
    const { treatment } = SERVE_FLAGS[name];
    if (treatment.kind === 'gate')
      assert.equal(collect({ [name]: 'true' }).settings.gates.get(treatment.of), true, name);
    if (treatment.kind === 'alias') assert.ok(isServeFlag(treatment.of));
  }
});

test('feature gates', () => {
  const { gates } = collect({ 'feature-gates': 'LeaseCheckpoint=true, CompactHashCheck=0' }).settings;
  assert.deepEqual(
    [...gates],
    [
      ['LeaseCheckpoint', true],
      ['CompactHashCheck', false],
    ],
  );
  assert.throws(() => collect({ 'feature-gates': 'A' }), { message: 'missing bool value for A' });
  assert.throws(() => collect({ 'feature-gates': 'A=x' }), UsageError);
  assert.throws(
    () =>
      collect({ 'feature-gates': 'LeaseCheckpoint=true', 'experimental-enable-lease-checkpoint': 'true' }),
    {
      message: /^cannot specify both flags: --experimental-enable-lease-checkpoint=true and --feature-gates=/,
    },
  );
});

test('a configuration file takes the place of flags and variables, and says so', (t) => {
  const file = join(scratch(t), 'etcd.yml');
  writeFileSync(file, 'name: from-file\nwhat-is-this: 1\n');
  const flags = { 'config-file': file, name: 'from-flag', scratch: 'true' };
  const collected = collect(flags, { ETCD_SNAPSHOT_COUNT: '5' });
  const { settings, notes } = collected;
  assert.equal(settings.text('name'), 'from-file');
  assert.equal(settings.integer('snapshot-count'), 10_000);
  assert.equal(settings.boolean('scratch'), true);
  assert.equal(settings.isFromFile, true);
  assert.deepEqual(messages(collected), [
    'loaded server configuration, other configuration command line flags and environment variables will be ignored if provided',
    'ignored in favour of the configuration file',
    'unknown key in configuration file',
  ]);
  assert.deepEqual(notes[1]?.fields, { ignored: ['--name', 'ETCD_SNAPSHOT_COUNT'] });
  assert.equal(collect({}, { ETCD_CONFIG_FILE: file }).settings.text('name'), 'from-file');
});
