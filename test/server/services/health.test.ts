import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  healthCheckRequest,
  healthCheckResponse,
  SERVING_STATUS,
} from '../../../src/format/proto/concurrency-services.ts';
import { STATUS } from '../../../src/rpc/status.ts';
import { Health, healthService } from '../../../src/server/services/health.ts';
import { ask, type FakeCall, open } from '../fake-call.ts';

const { serving, notServing, serviceUnknown } = SERVING_STATUS;
const PATH = '/grpc.health.v1.Health/';

const statusesOf = (call: FakeCall): number[] =>
  call.sent.map((bytes) => healthCheckResponse.decode(bytes).status);

function bench() {
  const health = new Health();
  const methods = healthService(health);
  const check = (service: string) =>
    ask(methods, `${PATH}Check`, [healthCheckRequest, { service }], healthCheckResponse);
  const watch = (service: string) => {
    const opened = open(methods, `${PATH}Watch`);
    opened.call.push(healthCheckRequest.encode({ service }));
    return opened;
  };
  return { health, check, watch };
}

test('the server serves, until it is said that it does not', async () => {
  const { health, check } = bench();
  assert.deepEqual(await check(''), { status: serving });
  health.isServing = false;
  assert.deepEqual(await check(''), { status: notServing });
});

test('a service that is not there is unknown', async () => {
  await assert.rejects(bench().check('etcdserverpb.KV'), {
    status: STATUS.notFound,
    message: 'unknown service',
  });
});

test('whoever watches is told of each change once, and stays until it leaves', async () => {
  const { health, watch } = bench();
  const { call, ended } = watch('');
  await call.sentCount(1);
  health.isServing = true;
  health.isServing = false;
  await call.sentCount(2);
  health.isServing = true;
  await call.sentCount(3);
  assert.deepEqual(statusesOf(call), [serving, notServing, serving]);
  call.cancel();
  await ended;
  health.isServing = false;
  assert.equal(call.sent.length, 3);
});

test('a watch of a service that is not there says so, and goes on', async () => {
  const { watch } = bench();
  const { call, ended } = watch('etcdserverpb.Nothing');
  await call.sentCount(1);
  assert.deepEqual(statusesOf(call), [serviceUnknown]);
  call.cancel();
  await ended;
});

test('a client that takes nothing is told the last change alone', async () => {
  const { health, watch } = bench();
  const { call, ended } = watch('');
  call.room = 1;
  await call.sentCount(1);
  for (const isServing of [false, true, false]) health.isServing = isServing;
  call.take(5);
  await call.sentCount(2);
  call.cancel();
  await ended;
  assert.deepEqual(statusesOf(call), [serving, notServing]);
});
