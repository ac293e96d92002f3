import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { decodeGrpcMessage, encodeGrpcMessage } from '../../src/rpc/grpc-message.ts';

test('what is printable stays, everything else is escaped by the byte', () => {
  assert.equal(encodeGrpcMessage('etcdserver: key not found'), 'etcdserver: key not found');
  assert.equal(encodeGrpcMessage('100%\n\té'), '100%25%0A%09%C3%A9');
});

test('decodes what was encoded, and lets through what is no escape', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const encoded = encodeGrpcMessage(text);
      assert.match(encoded, /^[\x20-\x7e]*$/);
      assert.equal(decodeGrpcMessage(encoded), text);
    }),
  );
  assert.equal(decodeGrpcMessage('50% of %zz and %4'), '50% of %zz and %4');
});
