import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RpcError, STATUS } from '../../../src/rpc/status.ts';
import { errorBody, errorLine, httpCodeOf } from '../../../src/server/gateway/errors.ts';

const error = new RpcError(STATUS.cancelled, 'gone');

test('errors of both majors of grpc-gateway', () => {
  assert.equal(errorBody(error, '3.6'), '{"code":1,"message":"gone"}');
  assert.equal(errorBody(error, '3.5'), '{"error":"gone","code":1,"message":"gone"}');
  assert.equal(errorLine(error, '3.7'), '{"error":{"code":1,"message":"gone"}}');
  assert.equal(
    errorLine(error, '3.5'),
    '{"error":{"grpc_code":1,"http_code":408,"message":"gone","http_status":"Request Timeout"}}',
  );
});

test('codes of HTTP', () => {
  const codes = Object.values(STATUS).map((status) => httpCodeOf(status, '3.6'));
  assert.deepEqual(
    codes,
    [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401],
  );
});
