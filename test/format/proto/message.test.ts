import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CorruptError, ToolError } from '../../../src/errors.ts';
import * as authRequests from '../../../src/format/proto/auth-requests.ts';
import * as authpb from '../../../src/format/proto/authpb.ts';
import {
  always,
  bool,
  choice,
  count,
  embed,
  int64,
  oneOf,
  packed,
  repeated,
  text,
  type Message,
  uint64,
} from '../../../src/format/proto/field.ts';
import { Writer } from '../../../src/bytes/writer.ts';
import { proclaimRequest } from '../../../src/format/proto/concurrency-services.ts';
import { internalRaftRequest, putRequest, txnRequest } from '../../../src/format/proto/rpcpb.ts';
import { WIRE_TYPE, writeTag } from '../../../src/format/proto/wire.ts';
import * as leasepb from '../../../src/format/proto/leasepb.ts';
import * as memberpb from '../../../src/format/proto/memberpb.ts';
import * as membershippb from '../../../src/format/proto/membershippb.ts';
import { message, REST } from '../../../src/format/proto/message.ts';
import * as mvccpb from '../../../src/format/proto/mvccpb.ts';
import * as raftpb from '../../../src/format/proto/raftpb.ts';
import * as rpcpb from '../../../src/format/proto/rpcpb.ts';
import * as snappb from '../../../src/format/proto/snappb.ts';
import * as v2pb from '../../../src/format/proto/v2pb.ts';
import * as walpb from '../../../src/format/proto/walpb.ts';
import { arbitraryMessage } from '../../support/arbitrary-message.ts';

const TABLES: Record<string, object> = {
  raftpb,
  walpb,
  snappb,
  mvccpb,
  leasepb,
  authpb,
  memberpb,
  rpcpb,
  membershippb,
  authRequests,
  v2pb,
};
const isMessage = (value: unknown): value is Message<object> =>
  typeof value === 'object' && value !== null && 'decode' in value;
const MESSAGES = Object.values(TABLES).flatMap((table) => Object.values(table).filter(isMessage));

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

for (const one of MESSAGES) {
  test(`${one.name}: what is encoded decodes to the same`, () => {
    fc.assert(
      fc.property(
        arbitraryMessage(one),
        fc.constantFrom('write' as const, 'omit' as const),
        (value, zeros) => {
          assert.deepEqual(one.decode(one.encode(value, { zeros })), value);
        },
      ),
      { numRuns: one.name.includes('Internal') ? 20 : 50 },
    );
  });

  test(`${one.name}: any bytes give a value or a ToolError`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          one.decode(bytes, { offset: 7 });
        } catch (error) {
          assert.ok(error instanceof CorruptError);
          assert.equal(error.code, 'proto.malformed');
          assert.ok(error.where!.offset! >= 7 && error.where!.offset! <= 67);
        }
      }),
    );
  });
}

const inner = message('Inner', { id: uint64(1), tags: repeated(int64(2)) });
const outer = message('Outer', {
  type: always(choice(1)),
  term: always(count(2)),
  inner: embed(3, inner),
  left: oneOf('side', text(4)),
  right: oneOf('side', bool(5)),
  run: packed(count(6)),
});

test('the table gives the type', () => {
  const value = outer.decode(unhex(''));
  const term: number = value.term;
  const id: bigint | undefined = value.inner?.id;
  const run: number[] = value.run;
  assert.deepEqual([term, id, run, value.left], [0, undefined, [], undefined]);
});

test('zeros are written as the target writes them', () => {
  assert.equal(hex(outer.encode({ term: 3 }, { zeros: 'write' })), '08001003');
  assert.equal(hex(outer.encode({ term: 3 }, { zeros: 'omit' })), '1003');
  assert.equal(hex(outer.encode({ term: 3, type: 0 }, { zeros: 'omit' })), '08001003');
  assert.equal(hex(inner.encode({ id: 0n }, { zeros: 'write' })), '');
});

test('a decoded message encodes to the bytes it came from', () => {
  for (const bytes of [
    '1003',
    '08001003',
    '0800',
    '1000 1a020801',
    '1003 1a00 2200',
    '0801 9a06 03616263 fd07 01020304',
  ]) {
    const clean = bytes.replaceAll(' ', '');
    assert.equal(hex(outer.encode(outer.decode(unhex(bytes)), { zeros: 'omit' })), clean);
  }
});

test('a field changed after decoding is written, also where it was absent', () => {
  const value = outer.decode(unhex('1003'));
  assert.equal(hex(outer.encode({ ...value, type: 2 }, { zeros: 'omit' })), '08021003');
});

test('unknown fields survive, also inside', () => {
  const bytes = unhex('1a06 0805 7a026869 7203626162');
  const value = outer.decode(bytes);
  assert.equal(value.inner?.id, 5n);
  const { unknown = [] } = (value as { [REST]?: { unknown?: Uint8Array[] } })[REST]!;
  assert.deepEqual(unknown.map(hex), ['7203626162']);
  assert.equal(hex(outer.encode({ ...value, type: 0, term: 0 }, { zeros: 'omit' })), hex(bytes));
});

test('repeated numbers are read packed and unpacked', () => {
  assert.deepEqual(inner.decode(unhex('1001 1002 12020304 10ffffffffffffffffff01')).tags, [
    1n,
    2n,
    3n,
    4n,
    -1n,
  ]);
  assert.equal(hex(inner.encode({ tags: [1n, 2n] })), '10011002');
  assert.equal(hex(outer.encode({ run: [1, 300] })), '320301ac02');
  assert.deepEqual(outer.decode(unhex('320301ac02')).run, [1, 300]);
});

test('the last one counts, of a field and of a group; messages in pieces are merged', () => {
  assert.equal(outer.decode(unhex('1001 1002')).term, 2);
  const value = outer.decode(unhex('2201 61 2801'));
  assert.deepEqual([value.left, value.right], [undefined, true]);
  assert.deepEqual(outer.decode(unhex('1a02 0805 1a02 1007')).inner, { id: 5n, tags: [7n] });
});

test('what a client sends as int64 is legal, a count beyond 2^53 is damage', () => {
  for (const revision of [2n ** 63n - 1n, -1n, -(2n ** 63n)]) {
    const bytes = rpcpb.rangeRequest.encode({ revision });
    assert.equal(rpcpb.rangeRequest.decode(bytes).revision, revision);
  }
  for (const bad of ['10ffffffffffffff7f', '10ffffffffffffffffff01', '1080808080808080 10']) {
    assert.throws(
      () => outer.decode(unhex(bad), { file: 'x', offset: 40 }),
      (error: unknown) => {
        assert.ok(error instanceof ToolError);
        assert.equal(error.code, 'proto.malformed');
        assert.deepEqual(error.where, { file: 'x', offset: 41, field: 'Outer.term' });
        return true;
      },
    );
  }
});

test('damage names its field and offset', () => {
  assert.throws(
    () => outer.decode(unhex('1003 1a03 0805 11')),
    (error: unknown) => {
      assert.ok(error instanceof CorruptError);
      assert.equal(error.where?.field, 'Outer.inner.tags');
      assert.equal(error.where?.offset, 7);
      return true;
    },
  );
  assert.throws(() => outer.decode(unhex('2201 ff')), /not UTF-8/);
  assert.throws(() => outer.decode(unhex('1203')), /wire type 2 where 0/);
  assert.throws(() => outer.decode(unhex('1a05 08')), /claims 5 bytes/);
});

test('transactions nest only so deep', () => {
  const nested = (depth: number): Uint8Array => {
    let txn: rpcpb.TxnRequest = { compare: [], success: [], failure: [] };
    for (let i = 0; i < depth; i++) txn = { compare: [], success: [{ requestTxn: txn }], failure: [] };
    return rpcpb.txnRequest.encode(txn);
  };
  assert.equal(rpcpb.txnRequest.decode(nested(40)).success.length, 1);
  let bytes: Uint8Array = new Uint8Array();
  for (let i = 0; i < 120; i++) bytes = Uint8Array.from(lengthed(0x22, bytes));
  assert.throws(() => rpcpb.requestOp.decode(bytes), /100 deep/);
  assert.throws(() => nested(80), TypeError);
});

function lengthed(tag: number, content: Uint8Array): number[] {
  const txn = content.length === 0 ? [] : [0x12, ...varint(content.length), ...content];
  return [tag, ...varint(txn.length), ...txn];
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

test('numbers that no field can hold are a mistake of the caller', () => {
  assert.throws(() => outer.encode({ term: -1 }), TypeError);
  assert.throws(() => outer.encode({ term: 2 ** 53 }), TypeError);
  assert.throws(() => message('Twice', { a: count(1), b: count(1) }), TypeError);
});

test('what a client sends as unknown, however deep, is read again inside the log', () => {
  const depth = 5000;
  const put = Buffer.concat([
    putRequest.encode({ key: Buffer.from('a') }),
    Buffer.alloc(depth, 0x7b),
    Buffer.alloc(depth, 0x7c),
  ]);
  const logged = internalRaftRequest.encode({ put: putRequest.decode(put) });
  assert.deepEqual(putRequest.encode(internalRaftRequest.decode(logged).put!), new Uint8Array(put));
});

test('transactions that a server takes are read again inside the log', () => {
  const decodes = (bytes: Uint8Array): boolean => {
    try {
      txnRequest.decode(bytes);
      return true;
    } catch {
      return false;
    }
  };
  let deepest: Uint8Array = new Uint8Array();
  for (let bytes = txnRequest.encode({}); decodes(bytes); bytes = nested(bytes)) deepest = bytes;
  const txn = txnRequest.decode(deepest);
  assert.ok(internalRaftRequest.decode(internalRaftRequest.encode({ txn })).txn);
});

/** A transaction around one in bytes. */
function nested(bytes: Uint8Array): Uint8Array {
  const within = (tag: number, content: Uint8Array): Uint8Array => {
    const writer = new Writer(content.length + 16);
    writeTag(writer, tag, WIRE_TYPE.bytes);
    writer.varint(content.length);
    writer.bytes(content);
    return writer.finish();
  };
  return within(2, within(4, bytes));
}

test('a message in very many pieces costs no more than its size', () => {
  const pieces = 200_000;
  const bytes = Buffer.alloc(pieces * 4);
  for (let at = 0; at < bytes.length; at += 4) bytes.set([0x0a, 0x02, 0x78, 0x01], at);
  const began = performance.now();
  const { leader } = proclaimRequest.decode(bytes);
  assert.ok(performance.now() - began < 4000);
  assert.equal(proclaimRequest.encode({ leader }).length, pieces * 2 + 4);
});
