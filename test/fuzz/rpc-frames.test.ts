/**
 * Connections of frames that are half right: valid calls among frames of any type, flags, stream and payload, cut off
 * anywhere, ended anyhow. The server serves others meanwhile, and afterwards holds nothing of them.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { callFrame, encodeFrame, encodeHeaders, FLAG, FRAME, PREFACE, RawClient } from '../rpc/raw-client.ts';
import { serverUnderTest, text, until, words } from '../rpc/server-under-test.ts';
import { type Random, randomFor, seedOfRun } from '../support/mutate.ts';

const SEED = seedOfRun();
const CONNECTIONS = 400;
const FRAMES_MAX = 30;
const PATHS = [
  '/test.Calls/Echo',
  '/test.Calls/Later',
  '/test.Calls/Wait',
  '/test.Calls/Zeros',
  '/test.Streams/Echo',
  '/test.Streams/Wait',
  '/no.Service/No',
  '',
];

const streamId = (random: Random): number => random.pick([0, 1, 1, 3, 5, 7, 2, 2 ** 31 - 1]);

function message(random: Random): Buffer {
  const body = random.bytes(random.below(40));
  const prefix = Buffer.from([random.pick([0, 0, 0, 1, 2]), 0, 0, 0, 0]);
  prefix.writeUInt32BE(random.pick([body.length, body.length, 0, body.length + 1, 0xffffffff]), 1);
  return Buffer.concat([prefix, body]);
}

function anyFrame(random: Random, open: number): Buffer {
  switch (random.below(8)) {
    case 0:
    case 1:
      return callFrame(open, random.pick(PATHS), random.pick([FLAG.endHeaders, FLAG.endHeaders, 5, 0]));
    case 2:
    case 3:
      return encodeFrame(FRAME.data, random.below(2), random.pick([1, 3, open]), message(random));
    case 4:
      return encodeFrame(FRAME.resetStream, 0, random.pick([1, 3, open]), Buffer.from(random.bytes(4)));
    case 5: {
      const fields = { ':method': random.pick(['POST', 'GET']), [random.pick(['x', ':path', 'X Y'])]: 'z' };
      return encodeFrame(FRAME.headers, random.below(64), streamId(random), encodeHeaders(fields));
    }
    case 6:
      return encodeFrame(FRAME.windowUpdate, 0, streamId(random), Buffer.from(random.bytes(4)));
    default: {
      const payload = Buffer.from(random.bytes(random.pick([0, 4, 5, 6, 8, 30])));
      return encodeFrame(random.below(12), random.below(256), streamId(random), payload);
    }
  }
}

function connection(random: Random): Buffer {
  const frames = [PREFACE, encodeFrame(FRAME.settings, 0, 0)];
  const count = random.below(FRAMES_MAX);
  for (let frame = 0; frame < count; frame++) frames.push(anyFrame(random, 1 + 2 * frame));
  const bytes = Buffer.concat(frames);
  if (random.chance(0.2)) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
  return random.chance(0.3) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

test(`frames that are half right leave the server as it was, seed ${SEED}`, async (t) => {
  const under = await serverUnderTest({ limits: { handshakeTimeoutMs: 200, muteProbeMs: 200 } });
  t.after(() => under.end());
  const channel = await under.connect();
  for (let number = 0; number < CONNECTIONS; number++) {
    const random = randomFor(SEED, number);
    const client = new RawClient(under.port);
    const bytes = connection(random);
    const cut = random.below(bytes.length + 1);
    client.write(bytes.subarray(0, cut));
    if (random.chance(0.5)) await delay(random.below(3));
    client.write(bytes.subarray(cut));
    if (random.chance(0.3)) await delay(random.below(5));
    if (random.chance(0.5)) client.socket.resetAndDestroy();
    else client.socket.end();
    const reply = await channel.unary('/test.Calls/Echo', text(`${number}`), { timeoutMs: 10_000 });
    assert.equal(words(reply), `${number}`, `after connection ${number} of seed ${SEED}`);
  }
  const { stats } = under.server;
  await until(() => stats.connections === 1 && stats.streams === 0, `all is let go of, seed ${SEED}`, 20_000);
});
