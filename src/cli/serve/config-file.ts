/**
 * `--config-file`: YAML with etcd's keys, which are the names of its flags save for a few groups. Types are etcd's too:
 * durations are whole nanoseconds, lists of URLs one text. etcd v3.6 server/embed/config.go.
 */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { UsageError } from '../../errors.ts';
import { isServeFlag, OWN_FLAGS, SERVE_FLAGS, type ServeFlag } from './flags.ts';
import type { Setting } from './settings.ts';

/** Keys of groups, and the flags that they stand for. */
const GROUPS: Readonly<Record<string, Readonly<Record<string, ServeFlag>>>> = {
  'client-transport-security': {
    'cert-file': 'cert-file',
    'key-file': 'key-file',
    'client-cert-file': 'client-cert-file',
    'client-key-file': 'client-key-file',
    'client-cert-auth': 'client-cert-auth',
    'trusted-ca-file': 'trusted-ca-file',
    'auto-tls': 'auto-tls',
    'allowed-hostname': 'client-cert-allowed-hostname',
  },
  'peer-transport-security': {
    'cert-file': 'peer-cert-file',
    'key-file': 'peer-key-file',
    'client-cert-file': 'peer-client-cert-file',
    'client-key-file': 'peer-client-key-file',
    'client-cert-auth': 'peer-client-cert-auth',
    'trusted-ca-file': 'peer-trusted-ca-file',
    'auto-tls': 'peer-auto-tls',
    'allowed-cn': 'peer-cert-allowed-cn',
    'allowed-hostname': 'peer-cert-allowed-hostname',
    'skip-client-san-verification': 'peer-skip-client-san-verification',
  },
  'socket-options': { 'reuse-port': 'socket-reuse-port', 'reuse-address': 'socket-reuse-address' },
};

/** Keys that etcd spells otherwise than the flag. */
const SPELLINGS: Readonly<Record<string, ServeFlag>> = {
  'experimental-snapshot-catch-up-entries': 'experimental-snapshot-catchup-entries',
};

/** What etcd does not read from a file either. */
const FLAGS_ONLY: readonly ServeFlag[] = [
  ...OWN_FLAGS,
  'config-file',
  'version',
  'client-crl-file',
  'peer-crl-file',
];

/** Flags that stand in a group alone: at the top, etcd does not know their names. */
const GROUPED: readonly ServeFlag[] = Object.values(GROUPS).flatMap((group) => Object.values(group));

const isGrouped = (key: string): boolean => (GROUPED as readonly string[]).includes(key);

interface Reading {
  file: string;
  settings: Map<ServeFlag, Setting>;
  /** Keys that etcd does not know either. */
  unknown: string[];
}

/** Throws `usage` for a file that cannot be read, is no YAML, or holds a value of another type. */
export function readConfigFile(file: string): Pick<Reading, 'settings' | 'unknown'> {
  const reading: Reading = { file, settings: new Map(), unknown: [] };
  const root = parseFile(file);
  if (root === null || root === undefined) return reading;
  for (const [key, value] of Object.entries(asGroup(root, 'the file', file))) {
    const group = Object.hasOwn(GROUPS, key) ? GROUPS[key] : undefined;
    if (group === undefined) readKey(key, isGrouped(key) ? '' : (SPELLINGS[key] ?? key), value, reading);
    else if (value !== null) {
      for (const [inner, item] of Object.entries(asGroup(value, key, file)))
        readKey(`${key}.${inner}`, group[inner] ?? '', item, reading);
    }
  }
  return reading;
}

function parseFile(file: string): unknown {
  try {
    // etcd reads YAML 1.1, in which yes and on are true.
    return parse(readFileSync(file, 'utf8'), { version: '1.1' });
  } catch (cause) {
    throw new UsageError('usage', `cannot read the configuration file: ${(cause as Error).message}`, {
      where: { file },
      cause,
    });
  }
}

function asGroup(value: unknown, what: string, file: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new UsageError('usage', `${what} must hold keys and values`, { where: { file } });
}

function readKey(key: string, name: string, value: unknown, reading: Reading): void {
  // Keys without a value are common in samples; etcd keeps its default.
  if (value === null || value === undefined) return;
  if (!isServeFlag(name) || FLAGS_ONLY.includes(name)) {
    reading.unknown.push(key);
    return;
  }
  const text = textOf(name, value);
  const origin = `${key} in ${reading.file}`;
  if (text === undefined) {
    const { kind } = SERVE_FLAGS[name];
    throw new UsageError('usage', `${origin} must be ${EXPECTED[kind]}, not ${JSON.stringify(value)}`);
  }
  reading.settings.set(name, { text, origin });
}

const EXPECTED = {
  text: 'a text',
  boolean: 'true or false',
  integer: 'a whole number',
  duration: 'a whole number of nanoseconds',
  list: 'a text or a list of texts',
};

/** The value as the flag would be given it; undefined when its type is another. */
function textOf(name: ServeFlag, value: unknown): string | undefined {
  switch (SERVE_FLAGS[name].kind) {
    case 'boolean':
      return typeof value === 'boolean' ? String(value) : undefined;
    case 'integer':
      return Number.isSafeInteger(value) ? String(value) : undefined;
    case 'duration':
      return Number.isSafeInteger(value) ? `${String(value)}ns` : undefined;
    case 'list':
      if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.join(',');
      return typeof value === 'string' ? value : undefined;
    default:
      return typeof value === 'string' ? value : undefined;
  }
}
