import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { FrameReader, framedSize, frames, MessageSizeError, wholeMessage } from '../../src/rpc/framing.ts';
import { RpcError, STATUS } from '../../src/rpc/status.ts';

const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 });

/** All messages of `bytes`, which come in pieces of these sizes, in turn. */
function readInPieces(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const reader = new FrameReader({ messageSizeMax: 1 << 20 });
  const read: Uint8Array[] = [];
  let at = 0;
  for (let turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    reader.push(bytes.subarray(at, at + size));
    at += size;
    while (reader.hasNext) read.push(reader.next()!);
    assert.equal(reader.next(), undefined);
  }
  assert.equal(reader.size, 0);
  return read;
}

test('messages come out as they went in, however the bytes are cut', () => {
  fc.assert(
    fc.property(messages, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (sent, sizes) => {
      const bytes = Buffer.concat(frames(sent));
      assert.equal(
        bytes.length,
        sent.reduce((sum, message) => sum + framedSize(message), 0),
      );
      assert.deepEqual(
        readInPieces(bytes, sizes).map((message) => [...message]),
        sent.map((message) => [...message]),
      );
    }),
  );
});

test('large messages are not copied, and stay between their neighbours', () => {
  const large = new Uint8Array(100_000).fill(7);
  const pieces = frames([Buffer.from('a'), large, Buffer.from('b')]);
  assert.ok(pieces.includes(large));
  const read = readInPieces(Buffer.concat(pieces), [9000]);
  assert.deepEqual(
    read.map(({ length }) => length),
    [1, 100_000, 1],
  );
});

test('a message does not keep the chunk it came in', () => {
  const chunk = Buffer.concat([...frames([Buffer.from('small')]), Buffer.alloc(60_000)]);
  const reader = new FrameReader({ messageSizeMax: 100 });
  reader.push(chunk);
  assert.equal(reader.next()!.buffer.byteLength, 5);
  assert.equal(wholeMessage(Buffer.from([0, 0, 0, 0, 1, 9]), 100)!.buffer.byteLength, 1);
});

test('a length over the limit is refused from the prefix alone', () => {
  const reader = new FrameReader({ messageSizeMax: 100 });
  reader.push(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]));
  assert.equal(reader.hasNext, true);
  assert.throws(
    () => reader.next(),
    new MessageSizeError('grpc: received message larger than max (4294967295 vs. 100)'),
  );
});

test('only a chunk that is one plain message counts as whole', () => {
  const plain = Buffer.from([0, 0, 0, 0, 2, 1, 2]);
  assert.deepEqual([...wholeMessage(plain, 2)!], [1, 2]);
  assert.equal(wholeMessage(plain, 1), undefined);
  assert.equal(wholeMessage(plain.subarray(0, 6), 2), undefined);
  assert.equal(wholeMessage(Buffer.concat([plain, plain]), 2), undefined);
  assert.equal(wholeMessage(Buffer.from([1, 0, 0, 0, 0]), 2), undefined);
  assert.equal(wholeMessage(Buffer.alloc(4), 2), undefined);
});

test('an unknown format byte is refused', () => {
  const reader = new FrameReader({ messageSizeMax: 100, encoding: 'gzip' });
  reader.push(Buffer.from([2, 0, 0, 0, 0]));
  assert.throws(
    () => reader.next(),
    new RpcError(STATUS.internal, 'grpc: received unexpected payload format 2'),
  );
});
