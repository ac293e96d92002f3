/** Real etcd 3.6 and our command line, given the same wrong flags, variables and files: the same words. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { configOf } from '../../src/cli/serve/config.ts';
import { isServeFlag, SERVE_FLAGS } from '../../src/cli/serve/flags.ts';
import { collectSettings } from '../../src/cli/serve/settings.ts';
import { ToolError } from '../../src/errors.ts';
import { planFirstMember } from '../../src/server/start/first-member.ts';
import { scratch } from '../support/scratch.ts';
import { runTool, skipReason } from './etcd.ts';

const skip = skipReason('3.6');

interface Case {
  flags?: Record<string, string>;
  environment?: Record<string, string>;
  /** Text of a configuration file. */
  file?: string;
}

/** Members that nobody starts: each is wrong in one way. */
const CASES: Record<string, Case> = {
  'clients without advertised URLs': { flags: { 'listen-client-urls': 'http://127.0.0.1:1' } },
  'a host name to listen on': {
    flags: { 'listen-client-urls': 'http://example.com:1', 'advertise-client-urls': 'http://x:1' },
  },
  'an advertised URL without a host': { flags: { 'advertise-client-urls': 'http://:2379' } },
  'a peer URL without a host': { flags: { 'initial-advertise-peer-urls': 'http://:2380' } },
  'no heartbeat': { flags: { 'heartbeat-interval': '0' } },
  'no election': { flags: { 'election-timeout': '0' } },
  'an election as short as a heartbeat': { flags: { 'heartbeat-interval': '300' } },
  'a long election': { flags: { 'election-timeout': '60000' } },
  'an unknown mode of compaction': { flags: { 'auto-compaction-mode': 'hourly' } },
  'no mode of compaction': { flags: { 'auto-compaction-mode': '' } },
  'an old logger': { flags: { logger: 'capnslog' } },
  'a format of the log': { flags: { 'log-format': 'xml' } },
  'outputs of the log': { flags: { 'log-outputs': 'default,stdout' } },
  'a gate on its own': { flags: { 'feature-gates': 'LeaseCheckpointPersist=true' } },
  'an old name beside the new one': {
    flags: { 'experimental-snapshot-catchup-entries': '5', 'snapshot-catchup-entries': '6' },
  },
  'the election in a file': { file: 'election-timeout: 60000\n' },
  'the mode in a variable': { environment: { ETCD_AUTO_COMPACTION_MODE: 'hourly' } },
  'a name that is not in the cluster': { flags: { 'initial-cluster': 'other=http://localhost:2380' } },
  'URLs that are not those of the cluster': { flags: { 'initial-cluster': 'default=http://localhost:2381' } },
};

/** The error that etcd logs before it gives up; empty when it logs none. */
function errorIn(log: string): string {
  for (const line of log.split('\n').reverse()) {
    const found = /"error":"((?:[^"\\]|\\.)*)"/.exec(line)?.[1];
    if (found !== undefined) return JSON.parse(`"${found}"`) as string;
  }
  return '';
}

async function ourError(given: Case, configFile: string | undefined): Promise<string> {
  const flags = new Map(Object.entries(given.flags ?? {}));
  if (configFile !== undefined) flags.set('config-file', configFile);
  try {
    const { settings, notes } = collectSettings({ flags, environment: given.environment ?? {} });
    const config = configOf(settings, { defaultHost: undefined, lockTimeoutMs: 0 }, notes);
    await planFirstMember(config);
    return '';
  } catch (error) {
    assert.ok(error instanceof ToolError, String(error));
    return error.message;
  }
}

for (const [name, given] of Object.entries(CASES)) {
  test(name, { skip }, async (t) => {
    const directory = scratch(t);
    const configFile = given.file === undefined ? undefined : join(directory, 'etcd.yml');
    if (configFile !== undefined) writeFileSync(configFile, given.file!);
    const flags: Record<string, string> = { ...given.flags };
    if (configFile !== undefined) flags['config-file'] = configFile;
    else {
      flags['data-dir'] = join(directory, 'data');
      // Ports of nobody: those it starts with are refused before it listens, or after.
      flags['listen-peer-urls'] = 'http://127.0.0.1:0';
      if (flags['listen-client-urls'] === undefined && flags['advertise-client-urls'] === undefined) {
        flags['listen-client-urls'] = 'http://127.0.0.1:0';
        flags['advertise-client-urls'] = 'http://localhost:2379';
      }
    }
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    const result = await runTool('3.6', 'etcd', args, {
      env: { ...given.environment },
      timeoutMs: 30_000,
    });
    const expected = errorIn(`${result.stdout}${result.stderr}`);
    assert.notEqual(expected, '', `etcd said nothing: ${result.stderr.slice(-1000)}`);
    assert.notEqual(result.code, 0);
    assert.equal(await ourError(given, configFile), expected);
  });
}

test('etcd 3.6 has every flag that is not ours, and we have all of its own', { skip }, async () => {
  const { stdout, stderr } = await runTool('3.6', 'etcd', ['--help'], { timeoutMs: 30_000 });
  const theirs = [...`${stdout}${stderr}`.matchAll(/^ {2}--([a-z0-9-]+)/gm)].map((match) => match[1]!);
  assert.ok(theirs.length > 100);
  assert.deepEqual(
    theirs.filter((name) => !isServeFlag(name)),
    [],
  );
  const defaults = [...`${stdout}${stderr}`.matchAll(/^ {2}--([a-z0-9-]+) '([^']*)'$/gm)];
  for (const [, name = '', value = ''] of defaults) {
    if (!isServeFlag(name) || SERVE_FLAGS[name].treatment.kind !== 'used') continue;
    // A name in etcd's source, and defaults that follow from another flag.
    if (['math.MaxUint32', '${name}.etcd', ''].includes(value)) continue;
    assert.equal(SERVE_FLAGS[name].default ?? 'false', value, name);
  }
});
