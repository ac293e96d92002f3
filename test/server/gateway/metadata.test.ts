import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STATUS } from '../../../src/rpc/status.ts';
import { metadataOf, timeoutOf } from '../../../src/server/gateway/metadata.ts';

const of = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(metadataOf(Object.entries(headers).flat(), '127.0.0.1'));

const FORWARDED = { 'x-forwarded-for': '127.0.0.1' };

test('tokens come under the names that services look for', () => {
  assert.deepEqual(of({ Authorization: 'Bearer x' }), {
    authorization: 'Bearer x',
    'grpcgateway-authorization': 'Bearer x',
    ...FORWARDED,
  });
  assert.deepEqual(of({ 'Grpc-Metadata-Token': 'x' }), { token: 'x', ...FORWARDED });
});

test('what is not meant for calls is left out', () => {
  assert.deepEqual(
    of({ Connection: 'close', 'X-Custom': 'x', 'Content-Length': '3', ':path': '/v3' }),
    FORWARDED,
  );
  assert.deepEqual(of({ 'Grpc-Metadata-Connection': 'x', 'Grpc-Metadata-a~b': 'x' }), FORWARDED);
  assert.deepEqual(of({ 'Grpc-Metadata-Name': 'é' }), FORWARDED);
});

test('who asks, and for which host', () => {
  const host = { ':authority': 'a:1' };
  assert.deepEqual(of(host), { 'x-forwarded-host': 'a:1', ...FORWARDED });
  assert.deepEqual(of({ Host: 'a', 'X-Forwarded-Host': 'b', 'X-Forwarded-For': '1.2.3.4' }), {
    'x-forwarded-host': 'b',
    'x-forwarded-for': '1.2.3.4, 127.0.0.1',
  });
});

test('binary values are base64', () => {
  assert.equal(of({ 'Grpc-Metadata-A-Bin': 'Zm8' })['a-bin'], 'Zm8');
  assert.equal(of({ 'Grpc-Metadata-A-Bin': 'Zm8=' })['a-bin'], 'Zm8=');
  assert.throws(() => of({ 'grpc-metadata-a-bin': 'Zm-8' }), {
    status: STATUS.invalidArgument,
    message: 'invalid binary header Grpc-Metadata-A-Bin: illegal base64 data at input byte 2',
  });
});

test('times', () => {
  assert.equal(timeoutOf(undefined), undefined);
  assert.equal(timeoutOf('0S'), undefined);
  assert.equal(timeoutOf('2M'), 120_000);
  assert.equal(timeoutOf('+5m'), 5);
  assert.equal(timeoutOf('5u'), 0.005);
  assert.ok(timeoutOf('99999999999H')! < 0);
  for (const wrong of ['S', '5', '5x', '1.5S', '99999999999999999999S'])
    assert.throws(() => timeoutOf(wrong), {
      status: STATUS.invalidArgument,
      message: `invalid grpc-timeout: ${wrong}`,
    });
});
