/**
 * What the key index costs, without disk and network: `node --expose-gc dist/test/bench/mvcc.js`. Records are those of
 * Kubernetes: 1,500 bytes under keys of about 50.
 */
import { Pacer } from '../../src/bytes/pacer.ts';
import { latin1 } from '../../src/bytes/order.ts';
import { ENTRY_TYPE } from '../../src/format/proto/raftpb.ts';
import { internalRaftRequest, rangeRequest } from '../../src/format/proto/rpcpb.ts';
import { Applier } from '../../src/store/apply/applier.ts';
import { answerRange } from '../../src/store/apply/range.ts';
import type { Backend, Pair } from '../../src/store/backend/backend.ts';
import { encodeKeyValue } from '../../src/store/mvcc/key-value.ts';
import { KeyValues, rangeOf } from '../../src/store/mvcc/key-values.ts';
import { encodeRevision } from '../../src/store/mvcc/record.ts';

const VALUE_SIZE = 1500;
const REVISIONS = 600_000;
const KEYS = 150_000;

const keyOf = (number: number): Uint8Array =>
  Buffer.from(
    `/registry/pods/namespace-${number % 97}/pod-${String((number * 7919) % 10_000_019).padStart(12, '0')}`,
  );

/** Rows that are read one after another out of one piece of memory, as out of pages. */
class Records {
  readonly #bytes: Buffer;
  readonly #ends: Float64Array;
  readonly sizeBytes: number;

  constructor(revisions: number, keyCount: number) {
    this.#bytes = Buffer.alloc(revisions * (VALUE_SIZE + 110));
    this.#ends = new Float64Array(revisions);
    const value = Buffer.alloc(VALUE_SIZE, 7);
    let at = 0;
    for (let i = 0; i < revisions; i++) {
      const version = Math.floor(i / keyCount) + 1;
      const row = encodeKeyValue({
        ...{
          key: keyOf(i % keyCount),
          createRevision: (i % keyCount) + 2,
          modRevision: i + 2,
          version,
          value,
        },
        ...{ leaseLow: 0, leaseHigh: 0 },
      });
      this.#bytes.set(encodeRevision(i + 2, 0), at);
      this.#bytes.set(row, at + 17);
      at += 17 + row.length;
      this.#ends[i] = at;
    }
    this.sizeBytes = at;
  }

  *scan(): Generator<Pair> {
    let start = 0;
    for (const end of this.#ends) {
      yield { key: this.#bytes.subarray(start, start + 17), value: this.#bytes.subarray(start + 17, end) };
      start = end;
    }
  }
}

const mainOf = (key: Uint8Array): number => (key[4]! << 24) | (key[5]! << 16) | (key[6]! << 8) | key[7]!;

class MemoryBackend implements Backend {
  readonly #rows = new Map<number, Uint8Array>();
  readonly #other = new Map<string, Uint8Array>();
  readonly #records: Records | undefined;

  constructor(records?: Records) {
    this.#records = records;
  }

  get(bucket: string, key: Uint8Array): Uint8Array | undefined {
    if (bucket === 'key') return this.#rows.get(mainOf(key));
    return this.#other.get(bucket + latin1(key));
  }

  put(bucket: string, key: Uint8Array, value: Uint8Array): void {
    if (bucket === 'key') this.#rows.set(mainOf(key), value);
    else this.#other.set(bucket + latin1(key), value);
  }

  delete(): void {}

  forget(): void {
    this.#rows.clear();
  }

  scan(bucket: string): Iterable<Pair> {
    return bucket === 'key' && this.#records ? this.#records.scan() : [];
  }
}

/** Of this process, whatever else runs beside it. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function build(): Promise<void> {
  const records = new Records(REVISIONS, KEYS);
  const backend = new MemoryBackend(records);
  let scanned = 0;
  const scanBegan = cpuMs();
  for (const { value } of records.scan()) scanned += value.length;
  const scanMs = cpuMs() - scanBegan;
  for (let i = 0; i < 3; i++) {
    const began = cpuMs();
    const keys = await KeyValues.open(backend, new Pacer());
    const ms = cpuMs() - began;
    const rate = records.sizeBytes / ms / 1e6;
    const sortBegan = cpuMs();
    keys.sort();
    const sortMs = cpuMs() - sortBegan;
    say(
      `index of ${REVISIONS} revisions of ${KEYS} keys: ${ms.toFixed(0)} ms, ${rate.toFixed(2)} GB/s ` +
        `(${scanMs.toFixed(0)} ms is the scan of ${scanned} bytes), order ${sortMs.toFixed(0)} ms`,
    );
  }
}

function memory(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

async function sizes(): Promise<void> {
  const count = 1_000_000;
  const key = keyOf(1).length;
  const rows = function* (): Generator<Pair> {
    const value = Buffer.alloc(10);
    for (let i = 0; i < count; i++) {
      const parts = { key: keyOf(i), createRevision: i + 2, modRevision: i + 2, version: 1, value };
      yield { key: encodeRevision(i + 2, 0), value: encodeKeyValue({ ...parts, leaseLow: 0, leaseHigh: 0 }) };
    }
  };
  const backend: Backend = { get: () => undefined, put() {}, delete() {}, scan: rows };
  const before = memory();
  const keys = await KeyValues.open(backend, new Pacer());
  const built = memory();
  const began = cpuMs();
  keys.sort();
  const sortMs = cpuMs() - began;
  const sorted = memory();
  say(
    `${count} keys of ${key} bytes: ${((built - before) / count - key).toFixed(1)} bytes each besides the key, ` +
      `${((sorted - before) / count - key).toFixed(1)} in order (${sortMs.toFixed(0)} ms)`,
  );
  const countBegan = cpuMs();
  keys.count(rangeOf(Buffer.from('/'), Buffer.from('0')));
  say(`counting them: ${(cpuMs() - countBegan).toFixed(1)} ms`);
}

const PUT_KEYS = 50_000;
const ROUNDS = 4;

/** Forgets rows as often as a server commits: what a put costs besides the pages it ends up in. */
class ForgetfulBackend extends MemoryBackend {
  #count = 0;

  override put(bucket: string, key: Uint8Array, value: Uint8Array): void {
    super.put(bucket, key, value);
    if (bucket === 'key' && ++this.#count % 10_000 === 0) this.forget();
  }
}

function putAll(backend: Backend): { applier: Applier; perPut: number } {
  const applier = new Applier(backend, new KeyValues(backend), { hasTerm: true });
  const value = Buffer.alloc(256, 7);
  const requests = Array.from({ length: PUT_KEYS }, (_, i) =>
    internalRaftRequest.encode({ put: { key: keyOf(i), value } }),
  );
  globalThis.gc?.();
  const began = cpuMs();
  for (let i = 0; i < ROUNDS * PUT_KEYS; i++)
    applier.apply({ index: i + 1, term: 2, type: ENTRY_TYPE.normal, data: requests[i % PUT_KEYS]! });
  return { applier, perPut: ((cpuMs() - began) / ROUNDS / PUT_KEYS) * 1e6 };
}

function puts(): void {
  const asked = Array.from({ length: PUT_KEYS }, (_, i) =>
    rangeRequest.decode(rangeRequest.encode({ key: keyOf((i * 31) % PUT_KEYS) })),
  );
  for (let round = 0; round < 3; round++) {
    const { perPut } = putAll(new ForgetfulBackend());
    const { applier } = putAll(new MemoryBackend());
    globalThis.gc?.();
    const began = cpuMs();
    for (let i = 0; i < ROUNDS * PUT_KEYS; i++) answerRange(applier.keys, asked[i % PUT_KEYS]!);
    const perRead = ((cpuMs() - began) / ROUNDS / PUT_KEYS) * 1e3;
    say(`put: ${perPut.toFixed(0)} ns, range of one key: ${perRead.toFixed(2)} µs`);
  }
}

async function compactions(): Promise<void> {
  const records = new Records(REVISIONS, KEYS);
  const keys = await KeyValues.open(new MemoryBackend(records), new Pacer());
  keys.sort();
  const compaction = keys.compact(keys.revision);
  let [steps, longest] = [0, 0];
  const began = cpuMs();
  for (let more = true; more; steps++) {
    const stepBegan = performance.now();
    more = compaction.step();
    longest = Math.max(longest, performance.now() - stepBegan);
  }
  const ms = cpuMs() - began;
  say(
    `compaction of ${REVISIONS - KEYS} revisions: ${ms.toFixed(0)} ms in ${steps} steps, the longest of ${longest.toFixed(1)} ms`,
  );
}

const parts = process.argv.slice(2);
if (parts.length === 0 || parts.includes('sizes')) await sizes();
if (parts.length === 0 || parts.includes('puts')) puts();
if (parts.length === 0 || parts.includes('build')) await build();
if (parts.length === 0 || parts.includes('compactions')) await compactions();
