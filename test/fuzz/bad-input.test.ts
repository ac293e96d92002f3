/** Inputs that are not what was asked for, one by one: what each verb says of them, and that it touches none. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { ErrorCode } from '../../src/errors.ts';
import type { Verdict } from '../../src/check/report.ts';
import { verify } from '../../src/check/verify.ts';
import { encodeMetaPage } from '../../src/format/bolt/meta.ts';
import { plainContext } from '../../src/ops/context.ts';
import { hashKV } from '../../src/ops/inspect/hashkv.ts';
import { snapshotStatus } from '../../src/ops/snapshot/status.ts';
import { defragment } from '../../src/ops/upkeep/defrag.ts';
import { hastyDisk } from '../support/faulty-disk.ts';
import { readFixture } from '../support/fixtures.ts';
import { Random } from '../support/mutate.ts';
import { scratch } from '../support/scratch.ts';
import { endOf } from './probe.ts';

const CONTEXT = plainContext({ disk: hastyDisk() });
const IS_ROOT = process.getuid?.() === 0;
const PAGE_SIZE = 4096;

interface BadInput {
  name: string;
  make(path: string): void;
  verdict: Verdict;
  /** Of verify's first finding. */
  code: ErrorCode;
  /** Of what the other verbs throw, where it is another; null when nothing that they read is missing. */
  thrown?: ErrorCode | null;
  skip?: string | false;
}

const snapshot = (): Buffer => Buffer.from(readFixture('snap/snap-3.6.db'));
/** Without trailer. */
const database = (): Buffer => snapshot().subarray(0, -32);

/** Both metas with other fields, and right checksums. */
function withMetas(bytes: Buffer, fields: { pageSize?: number; pageLimit?: number; root?: number }): Buffer {
  for (const page of [0, 1]) {
    const at = page * PAGE_SIZE;
    const meta = {
      page,
      pageSize: PAGE_SIZE,
      root: Number(bytes.readBigUInt64LE(at + 32)),
      sequence: 0n,
      freelist: undefined,
      pageLimit: Number(bytes.readBigUInt64LE(at + 56)),
      txid: bytes.readBigUInt64LE(at + 64),
      ...fields,
    };
    const encoded = encodeMetaPage({ ...meta, pageSize: PAGE_SIZE });
    bytes.set(encoded.subarray(0, 80), at);
    if (meta.pageSize !== PAGE_SIZE) bytes.set(encodeMetaPage(meta).subarray(0, 80), at);
  }
  return bytes;
}

function bigEndian(bytes: Buffer): Buffer {
  for (const page of [0, 1]) {
    const at = page * PAGE_SIZE;
    bytes.subarray(at, at + 8).reverse();
    for (const field of [8, 10]) bytes.subarray(at + field, at + field + 2).reverse();
    for (const field of [12, 16, 20, 24, 28]) bytes.subarray(at + field, at + field + 4).reverse();
    for (let field = 32; field < 80; field += 8) bytes.subarray(at + field, at + field + 8).reverse();
  }
  return bytes;
}

/** Of a data directory, with something else in the place of its database. */
function directoryWith(path: string, place: (database: string) => void): void {
  mkdirSync(join(path, 'member', 'snap'), { recursive: true });
  mkdirSync(join(path, 'member', 'wal'));
  place(join(path, 'member', 'snap', 'db'));
}

const file =
  (bytes: () => Uint8Array) =>
  (path: string): void =>
    writeFileSync(path, bytes());

const INPUTS: readonly BadInput[] = [
  { name: 'nothing there', make() {}, verdict: 'UNREADABLE', code: 'io.not-found' },
  { name: 'an empty file', make: file(() => Buffer.alloc(0)), verdict: 'UNREADABLE', code: 'kind.empty' },
  { name: 'one byte', make: file(() => Buffer.from('x')), verdict: 'UNREADABLE', code: 'bolt.meta.none' },
  {
    name: '32 bytes: a trailer of nothing',
    make: file(() => Buffer.alloc(32, 7)),
    verdict: 'UNREADABLE',
    code: 'bolt.meta.none',
  },
  {
    name: 'text',
    make: file(() => Buffer.from('apiVersion: v1\n'.repeat(1000))),
    verdict: 'UNREADABLE',
    code: 'bolt.meta.none',
  },
  { name: 'zeros', make: file(() => Buffer.alloc(1 << 16)), verdict: 'UNREADABLE', code: 'bolt.meta.none' },
  {
    name: 'random bytes',
    make: file(() => new Random(1).bytes(1 << 16)),
    verdict: 'UNREADABLE',
    code: 'bolt.meta.none',
  },
  {
    name: 'a packed backup',
    make: file(() => readFixture('kubernetes/k8s-small-3.6.db.gz')),
    verdict: 'UNREADABLE',
    code: 'bolt.meta.none',
  },
  {
    name: 'a big-endian database',
    make: file(() => bigEndian(database())),
    verdict: 'UNREADABLE',
    code: 'bolt.big-endian',
  },
  {
    name: 'a page size of 8192 for 4096',
    make: file(() => withMetas(database(), { pageSize: 8192 })),
    verdict: 'DAMAGED',
    code: 'bolt.meta.invalid',
    thrown: 'bolt.page.bounds',
  },
  {
    name: 'a page size of 3000',
    make: file(() => withMetas(database(), { pageSize: 3000 })),
    verdict: 'UNREADABLE',
    code: 'bolt.meta.none',
  },
  {
    name: 'the metas alone',
    make: file(() => database().subarray(0, 2 * PAGE_SIZE)),
    verdict: 'DAMAGED',
    code: 'bolt.page.bounds',
  },
  {
    name: 'a high-water mark of a petabyte',
    make: file(() => withMetas(database(), { pageLimit: 2 ** 38 })),
    verdict: 'DAMAGED',
    code: 'backup.size',
    thrown: null,
  },
  {
    name: 'a root beyond the file',
    make: file(() => withMetas(database(), { pageLimit: 2 ** 38, root: 2 ** 37 })),
    verdict: 'DAMAGED',
    code: 'bolt.page.bounds',
  },
  {
    name: 'an empty directory',
    make: (path) => mkdirSync(path),
    verdict: 'UNREADABLE',
    code: 'kind.unknown',
  },
  {
    name: 'a data directory without a database',
    make: (path) => directoryWith(path, () => {}),
    verdict: 'UNREADABLE',
    code: 'io.not-found',
    thrown: 'kind.unknown',
  },
  {
    name: 'a directory for a database',
    make: (path) => directoryWith(path, (db) => mkdirSync(db)),
    verdict: 'UNREADABLE',
    code: 'io.not-a-file',
  },
  {
    name: 'a link to nowhere',
    make: (path) => symlinkSync('nowhere', path),
    verdict: 'UNREADABLE',
    code: 'io.not-found',
  },
  {
    name: 'a link to itself',
    make: (path) => symlinkSync(path, path),
    verdict: 'UNREADABLE',
    code: 'io.failed',
  },
  {
    name: 'a device',
    make: (path) => symlinkSync('/dev/null', path),
    verdict: 'UNREADABLE',
    code: 'io.not-a-file',
  },
  {
    name: 'a pipe',
    make: (path) => execFileSync('mkfifo', [path]),
    verdict: 'UNREADABLE',
    code: 'io.not-a-file',
  },
  {
    name: 'a file of somebody else',
    make(path) {
      writeFileSync(path, snapshot());
      chmodSync(path, 0);
    },
    verdict: 'UNREADABLE',
    code: 'io.permission',
    skip: IS_ROOT && 'root may read everything',
  },
];

/** Content and time of a regular file; nothing of what is none. */
function stampOf(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (!stat?.isFile()) return String(stat?.mtimeNs);
  return `${stat.mtimeNs} ${readFileSync(path).toString('base64')}`;
}

describe('bad input', () => {
  const directory = scratch({ after });

  for (const [index, { name, make, verdict, code, thrown = code, skip = false }] of INPUTS.entries()) {
    test(name, { skip, timeout: 10_000 }, async () => {
      const path = join(directory, `input-${index}`);
      const output = join(directory, `output-${index}`);
      make(path);
      const before = existsSync(path) && !skip ? stampOf(path) : '';

      const { value: report } = await endOf('verify', () => verify(path));
      assert.ok(report);
      assert.equal(report.verdict, verdict);
      const codes = report.findings
        .filter(({ severity }) => severity !== 'note')
        .map((finding) => finding.code);
      assert.ok(codes.includes(code), `expected ${code}, found ${codes.join(', ')}`);
      assert.ok(report.next.length > 0);

      const ends = {
        status: await endOf('status', () => snapshotStatus(path, CONTEXT)),
        hashkv: await endOf('hashkv', () => hashKV(path, { revision: 0 }, CONTEXT)),
        defrag: await endOf('defrag', () => defragment({ file: path, output }, { timeoutMs: 1 }, CONTEXT)),
      };
      for (const [verb, { error }] of Object.entries(ends)) {
        assert.equal(error?.code ?? null, thrown, `${verb}: ${error?.message ?? 'succeeded'}`);
      }
      assert.equal(existsSync(output), thrown === null);
      if (before !== '') assert.equal(stampOf(path), before);
    });
  }
});
