/**
 * Whatever a client sends, a service answers it or ends the call with a status; it throws nothing else, and what it
 * did before can still be hashed. `ETCDKIT_SEED` repeats a run.
 */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { after, describe, test } from 'node:test';
import * as fc from 'fast-check';
import { RpcError } from '../../src/rpc/status.ts';
import { FakeCall } from '../server/fake-call.ts';
import { KINDS, MemoryServices } from '../server/memory-services.ts';
import { arbitraryMessage } from '../support/arbitrary-message.ts';
import { type Random, randomFor, seedOfRun } from '../support/mutate.ts';

const SEED = seedOfRun();
const REQUESTS = 150;
/** A call may wait for something that never comes. */
const TURNS_MAX = 20;

const endings = new Map<string, number>();

/** How a call ends: `ok`, or the error's text. */
async function endOf({ methods }: MemoryServices, path: string, bytes: Uint8Array): Promise<string> {
  const call = new FakeCall(path);
  const handler = methods.unary?.[path];
  call.push(bytes);
  call.push(undefined);
  // A handler may throw at once.
  const run = async (): Promise<unknown> => (handler ? handler(bytes, call) : methods.stream![path]!(call));
  const running = run();
  let isOver = false;
  const over = running.then(
    () => 'ok',
    (error: unknown) => {
      if (!(error instanceof RpcError)) throw error;
      return error.message;
    },
  );
  const watched = over.finally(() => {
    isOver = true;
  });
  watched.catch(() => {});
  for (let i = 0; i < TURNS_MAX && !isOver; i++) await nextTurn();
  call.cancel();
  return watched;
}

/** Small numbers under the first tags, as most requests have them, or nothing of sense. */
function bytesOf(random: Random): Uint8Array {
  const size = random.below(16);
  if (random.chance(0.5)) return random.bytes(size);
  return Uint8Array.from({ length: size }, (_, i) =>
    i % 2 === 0 ? random.pick([0x08, 0x10, 0x12, 0x18, 0x1a]) : random.below(20),
  );
}

describe(`services, seed ${SEED}`, () => {
  const paths = Object.keys(KINDS);
  for (const [index, path] of paths.entries()) {
    test(`${path} ends with an answer or a status`, async () => {
      const services = new MemoryServices();
      const random = randomFor(SEED, index);
      const messages = fc.sample(arbitraryMessage(KINDS[path]!.request), { numRuns: REQUESTS, seed: SEED });
      for (const message of messages) {
        const requests = [KINDS[path]!.request.encode(message as never), bytesOf(random)];
        for (const bytes of requests) {
          const end = await endOf(services, path, bytes);
          const told = end.startsWith('grpc: ') ? 'malformed' : end;
          endings.set(told, (endings.get(told) ?? 0) + 1);
        }
      }
      const hash = services.methods.unary!['/etcdserverpb.Maintenance/HashKV']!;
      await hash(new Uint8Array(), new FakeCall());
      assert.equal(services.core.backend.openViewCount, 0);
    });
  }

  after(() => {
    // A run in which nothing was done proves nothing.
    assert.ok((endings.get('ok') ?? 0) > REQUESTS);
    assert.ok((endings.get('malformed') ?? 0) > REQUESTS);
    assert.ok(endings.size > 10, [...endings.keys()].join('\n'));
  });
});
