/** Something mounted, with all services over it, as calls reach them. */
import { OPEN_AUTH } from '../open-access.ts';
import { realDisk } from '../../../src/bytes/disk.ts';
import type { Input } from '../../../src/format/proto/field.ts';
import {
  hashKvRequest,
  type PutResponse,
  putResponse,
  type RangeResponse,
  rangeResponse,
} from '../../../src/format/proto/kvpb.ts';
import {
  hashKvResponse,
  snapshotRequest,
  snapshotResponse,
} from '../../../src/format/proto/maintenance-service.ts';
import { keyValue } from '../../../src/format/proto/mvccpb.ts';
import { putRequest, type RangeRequest, rangeRequest } from '../../../src/format/proto/rpcpb.ts';
import type { Methods } from '../../../src/rpc/seam.ts';
import { defaultConfig } from '../../../src/server/config.ts';
import { openMountable, startMount } from '../../../src/server/mount/mount.ts';
import type { Served } from '../../../src/server/served.ts';
import { makeServices } from '../../../src/server/services.ts';
import { Stats } from '../../../src/server/monitor/stats.ts';
import { ask, open } from '../fake-call.ts';
import { keptLog } from '../monitor/healthy-view.ts';

const ALL = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };

interface Scope {
  after(run: () => Promise<void>): void;
}

export interface MountedOptions {
  walDir?: string;
  revision?: number;
  isScratch?: boolean;
  isAuthSkipped?: boolean;
}

export class Mounted {
  readonly served: Served;
  readonly methods: Methods;
  readonly lines;
  #stopped: Promise<void> | undefined;

  private constructor(served: Served, lines: ReturnType<typeof keptLog>['lines']) {
    this.served = served;
    this.lines = lines;
    const { methods } = makeServices(served.core, {
      emulated: served.emulated,
      version: '3.6.16',
      quotaBytes: 2 ** 31,
      txnOperationsMax: 128,
      requestSizeMax: 1.5 * 2 ** 20,
      progressNotifyMs: 600_000,
      electionMs: 1000,
      isLeaseCheckpointed: false,
      auth: OPEN_AUTH,
      stats: new Stats(),
    });
    this.methods = {
      unary: Object.assign({}, ...methods.map(({ unary }) => unary)),
      stream: Object.assign({}, ...methods.map(({ stream }) => stream)),
    };
  }

  static async at(t: Scope, path: string, options: MountedOptions = {}): Promise<Mounted> {
    const { walDir, revision, isScratch = false, isAuthSkipped = false } = options;
    const target = { kind: 'mount', path, walDir, revision, isScratch, isAuthSkipped } as const;
    const log = keptLog();
    const failures: unknown[] = [];
    const context = { log, disk: realDisk(), signal: new AbortController().signal };
    const config = { ...defaultConfig(), target };
    const onFailure = (error: unknown): unknown => failures.push(error);
    const served = await startMount(
      { config, target, stats: new Stats(), onFailure },
      openMountable(target),
      context,
    );
    const mounted = new Mounted(served, log.lines);
    t.after(() => mounted.stop());
    return mounted;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.served.stop();
    return this.#stopped;
  }

  range(request: Input<RangeRequest> = ALL): Promise<RangeResponse> {
    return ask(this.methods, '/etcdserverpb.KV/Range', [rangeRequest, request], rangeResponse);
  }

  /** Everything at the last revision, or another one, as text. */
  async all(revision = 0): Promise<Record<string, string>> {
    const { kvs } = await this.range({ ...ALL, revision: BigInt(revision) });
    return Object.fromEntries(kvs.map((bytes) => pairOf(bytes)));
  }

  put(key: string, value: string): Promise<PutResponse> {
    const request = { key: Buffer.from(key), value: Buffer.from(value) };
    return ask(this.methods, '/etcdserverpb.KV/Put', [putRequest, request], putResponse);
  }

  async hashKv(revision = 0): Promise<{ hash: number; compactRevision: number }> {
    const request = { revision: BigInt(revision) };
    const path = '/etcdserverpb.Maintenance/HashKV';
    const answer = await ask(this.methods, path, [hashKvRequest, request], hashKvResponse);
    return { hash: answer.hash, compactRevision: Number(answer.compactRevision) };
  }

  /** What a client saves of it. */
  async snapshot(): Promise<Buffer> {
    const { call, ended } = open(this.methods, '/etcdserverpb.Maintenance/Snapshot');
    call.push(snapshotRequest.encode({}));
    call.push(undefined);
    await ended;
    return Buffer.concat(call.sent.map((bytes) => snapshotResponse.decode(bytes).blob));
  }
}

function pairOf(bytes: Uint8Array): [string, string] {
  const { key, value } = keyValue.decode(bytes);
  return [Buffer.from(key).toString('latin1'), Buffer.from(value).toString('latin1')];
}
