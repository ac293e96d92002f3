/**
 * The harness that tests import: real etcd 3.4 to 3.7 beside us. This file is its front door and holds what a
 * client asks of a running server; `server.ts` starts and ends them, `tools.ts` runs the command-line tools.
 */
import { OracleError } from './cache.ts';
import type { Version } from './cache.ts';
import { etcdctl, runTool, succeeded } from './tools.ts';
import type { ToolResult } from './tools.ts';

export { OracleError, VERSIONS, BUILT_VERSIONS, oracle, skipReason } from './cache.ts';
export type { Tool, Version } from './cache.ts';
export { bbolt, etcdctl, etcdutl, runTool, succeeded } from './tools.ts';
export type { EtcdctlOptions, ToolOptions, ToolResult } from './tools.ts';
export { freeMemberPorts, peerUrlOf, startCluster, startEtcd, untilHealthy } from './server.ts';
export type { EtcdServer, Ports, StartOptions } from './server.ts';

const LONG_TIMEOUT_MS = 15 * 60_000;

/** Whom the client helpers ask. An `EtcdServer` is one; with auth on, add `user: 'name:password'`. */
export interface Target {
  readonly version: Version;
  readonly endpoint: string;
  readonly user?: string;
}

/** The header of a response: identities are u64 and kept exact. */
export interface ResponseHeader {
  clusterId: bigint;
  memberId: bigint;
  revision: number;
  raftTerm: number;
}

/** An answer of `endpoint hashkv`. `hashRevision` is absent before 3.6. */
export interface HashKv {
  header: ResponseHeader;
  hash: number;
  hashRevision?: number;
  /** -1 when never compacted. */
  compactRevision: number;
}

/** One key as a range request shows it. */
export interface KeyValue {
  key: Buffer;
  value: Buffer;
  createRevision: number;
  modRevision: number;
  version: number;
  /** As etcd's JSON prints it, a signed 64-bit number; 0 without a lease. */
  lease: bigint;
}

/** An answer of `endpoint status`, as far as tests need it. */
export interface EndpointStatus {
  header: ResponseHeader;
  version: string;
  dbSize: number;
  dbSizeInUse: number;
  leader: bigint;
  raftIndex: number;
  raftTerm: number;
}

type Json = Record<string, unknown>;

/** JSON as etcd's tools print it. Integers of 16 digits and more become strings, so that none is rounded. */
export function parseEtcdJson(text: string): unknown {
  const guarded = text.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}/g, (token) =>
    token.startsWith('"') ? token : `"${token}"`,
  );
  return JSON.parse(guarded);
}

// proto3 JSON leaves out what is zero.
const numberOf = (value: unknown): number => Number(value ?? 0);
const bigintOf = (value: unknown): bigint => BigInt((value ?? 0) as number | string);
const bytesOf = (value: unknown): Buffer => Buffer.from((value ?? '') as string, 'base64');

function headerOf(value: unknown): ResponseHeader {
  const header = value as Json;
  return {
    clusterId: bigintOf(header['cluster_id']),
    memberId: bigintOf(header['member_id']),
    revision: numberOf(header['revision']),
    raftTerm: numberOf(header['raft_term']),
  };
}

/** Runs etcdctl against a server and throws unless it exits with 0. */
export function ask(target: Target, args: readonly string[], timeoutMs = 60_000): Promise<ToolResult> {
  const user = target.user === undefined ? [] : [`--user=${target.user}`];
  const options = { endpoint: target.endpoint, timeoutMs };
  // etcdctl's own limit is 5 s for a short command.
  return succeeded(etcdctl(target.version, [...user, `--command-timeout=${timeoutMs}ms`, ...args], options));
}

/** The server's hash over all key records up to a revision; up to its current one unless given. */
export async function hashKv(target: Target, revision = 0): Promise<HashKv> {
  const args = ['endpoint', 'hashkv', `--rev=${revision}`, '--write-out=json'];
  const [answer] = parseEtcdJson((await ask(target, args, LONG_TIMEOUT_MS)).stdout) as [Json];
  const body = answer['HashKV'] as Json;
  const hashKv: HashKv = {
    header: headerOf(body['header']),
    hash: numberOf(body['hash']),
    compactRevision: numberOf(body['compact_revision']),
  };
  if (body['hash_revision'] !== undefined) hashKv.hashRevision = numberOf(body['hash_revision']);
  return hashKv;
}

/** Every key with its value, in key order, at a revision; at the current one unless given. */
export async function getAll(
  target: Target,
  revision = 0,
): Promise<{ header: ResponseHeader; kvs: KeyValue[] }> {
  const args = ['get', '', '--prefix', `--rev=${revision}`, '--write-out=json'];
  const answer = parseEtcdJson((await ask(target, args, LONG_TIMEOUT_MS)).stdout) as Json;
  const kvs = ((answer['kvs'] ?? []) as Json[]).map((kv) => ({
    key: bytesOf(kv['key']),
    value: bytesOf(kv['value']),
    createRevision: numberOf(kv['create_revision']),
    modRevision: numberOf(kv['mod_revision']),
    version: numberOf(kv['version']),
    lease: bigintOf(kv['lease']),
  }));
  return { header: headerOf(answer['header']), kvs };
}

/** Sizes, revision and raft position of the server. */
export async function endpointStatus(target: Target): Promise<EndpointStatus> {
  const [answer] = parseEtcdJson((await ask(target, ['endpoint', 'status', '--write-out=json'])).stdout) as [
    Json,
  ];
  const body = answer['Status'] as Json;
  return {
    header: headerOf(body['header']),
    version: String(body['version']),
    dbSize: numberOf(body['dbSize']),
    dbSizeInUse: numberOf(body['dbSizeInUse']),
    leader: bigintOf(body['leader']),
    raftIndex: numberOf(body['raftIndex']),
    raftTerm: numberOf(body['raftTerm']),
  };
}

/** Compacts up to a revision and waits until the old records are gone from the file. */
export async function compactPhysically(target: Target, revision: number): Promise<void> {
  await ask(target, ['compaction', '--physical', String(revision)], LONG_TIMEOUT_MS);
}

/** Takes a snapshot into a file that must not be there yet. */
export async function snapshotSave(target: Target, path: string): Promise<void> {
  await ask(target, ['snapshot', 'save', path], LONG_TIMEOUT_MS);
}

/** A Kubernetes-like registry: many writers at once; each key's own history depends on the seed alone. */
export interface BenchLoad {
  kind: 'bench';
  seed?: number;
  /** How many writes, each of them one revision; at least as many as `keys`. */
  revisions?: number;
  keys?: number;
  valueMin?: number;
  valueMax?: number;
  parallel?: number;
}

/**
 * A little of everything: puts, deletes of keys and ranges, transactions (delete and put in one revision, both
 * branches, put then delete of one key), leases with keys, compactions, users and roles. On a fresh server the
 * same seed gives the same revisions.
 */
export interface MixedLoad {
  kind: 'mixed';
  seed?: number;
  operations?: number;
  /** What every key starts with. */
  prefix?: string;
  users?: boolean;
  /** Switches auth on at the end; from then on ask as `root:root`. Needs `users`. */
  auth?: boolean;
  leases?: boolean;
  compact?: boolean;
}

/** What the load program says it did. */
export interface LoadReport {
  kind: string;
  seed: number;
  /** The last revision it made. */
  revision: number;
  /** 0 when it did not compact. */
  compactRevision: number;
  puts: number;
  deletes: number;
  txns: number;
  leasesGranted: number;
  leasesRevoked: number;
  compactions: number;
  users: number;
  roles: number;
  auth: boolean;
  valueBytes: number;
  seconds: number;
}

/** Writes data to a server of any version with the load program of the 3.6 build. */
export async function runLoad(
  target: Target,
  load: BenchLoad | MixedLoad,
  limitMs = LONG_TIMEOUT_MS,
): Promise<LoadReport> {
  const { kind, ...settings } = load;
  if (target.user !== undefined) throw new OracleError('the load program does not log in');
  const args = [kind, `--endpoint=${target.endpoint}`, `--timeout=${limitMs}ms`];
  for (const [name, value] of Object.entries(settings)) {
    args.push(`--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}=${String(value)}`);
  }
  const options = { timeoutMs: limitMs + 10_000 };
  const { stdout } = await succeeded(runTool('3.6', 'load', args, options));
  return JSON.parse(stdout) as LoadReport;
}
