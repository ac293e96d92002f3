import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimpleTokens } from '../../../src/server/auth/simple-tokens.ts';
import { FakeClock } from '../fake-clock.ts';

interface Bench {
  clock: FakeClock;
  tokens: SimpleTokens;
}

function bench({ ttlMs = 10_000, countMax = 100 } = {}): Bench {
  const clock = new FakeClock();
  return { clock, tokens: new SimpleTokens({ ttlMs, clock, countMax }) };
}

const login = (tokens: SimpleTokens, username: string, index: number): string =>
  tokens.assign(username, tokens.prefix(), { index, revision: 1 });

test('sixteen letters, a dot and the index of the login; the revision is that of now', () => {
  const { tokens } = bench();
  const prefixes = new Set(Array.from({ length: 200 }, () => tokens.prefix()));
  assert.equal(prefixes.size, 200);
  for (const prefix of prefixes) assert.match(prefix, /^[a-zA-Z]{16}$/);
  const letters = new Set([...prefixes].join(''));
  assert.equal(letters.size, 52, 'of 3200 letters, each is there');
  const token = tokens.assign('alice', 'abcdefghABCDEFGH', { index: 42, revision: 1 });
  assert.equal(token, 'abcdefghABCDEFGH.42');
  assert.deepEqual(tokens.infoOf(token, 9), { username: 'alice', revision: 9 });
});

test('what is not exactly a token is none', () => {
  const { tokens } = bench();
  const token = tokens.assign('alice', 'abcdefghABCDEFGH', { index: 42, revision: 1 });
  tokens.assign('bob', 'abcdefghABCDEFGH', { index: 0, revision: 1 });
  const wrong = [
    '',
    '.',
    '.42',
    '42',
    'abcdefghABCDEFGH',
    'abcdefghABCDEFGH.',
    'abcdefghABCDEFGH.43',
    'abcdefghABCDEFGH.042',
    'abcdefghABCDEFGH.+42',
    'abcdefghABCDEFGH.-42',
    'abcdefghABCDEFGH. 42',
    'abcdefghABCDEFGH.42 ',
    'abcdefghABCDEFGH.42\n',
    'abcdefghABCDEFGH.4e1',
    'abcdefghABCDEFGH.42.0',
    'abcdefghABCDEFGH..42',
    'abcdefghABCDEFG.42',
    'abcdefghABCDEFGHI.42',
    'ABCDEFGHabcdefgh.42',
    'abcdefghABCDEFGé.42',
    'abcdefghABCDEFGH.18446744073709551616',
    'abcdefghABCDEFGH.99999999999999999999999999',
    'abcdefghABCDEFGH.00',
    'abcdefghABCDEFGH.constructor',
    'x'.repeat(1 << 20),
  ];
  for (const one of wrong)
    assert.match(tokens.infoOf(one, 1) as string, /^(?:shape|unknown)$/, JSON.stringify(one));
  assert.equal(typeof tokens.infoOf(token, 1), 'object');
});

test('a token that is not used for its time ends, within a second', async () => {
  const { clock, tokens } = bench({ ttlMs: 10_000 });
  const token = login(tokens, 'alice', 7);
  await clock.advance(10_000);
  assert.equal(tokens.count, 1);
  await clock.advance(1000);
  assert.equal(tokens.count, 0);
  assert.equal(tokens.infoOf(token, 1), 'unknown');
  assert.equal(clock.timerCount, 0, 'nothing is left to look at');
});

test('each use starts the time anew', async () => {
  const { clock, tokens } = bench({ ttlMs: 10_000 });
  const [used, unused] = [login(tokens, 'alice', 7), login(tokens, 'alice', 8)];
  for (let n = 0; n < 5; n++) {
    await clock.advance(9000);
    assert.equal(typeof tokens.infoOf(used, 1), 'object');
  }
  assert.equal(tokens.infoOf(unused, 1), 'unknown');
  assert.equal(tokens.count, 1);
  await clock.advance(11_000);
  assert.equal(tokens.count, 0);
});

test('a pause of the whole process gives no token more than the second that a look may be late', async () => {
  for (const [pauseMs, isValid] of [
    [11_000, true],
    [11_001, false],
  ] as const) {
    const { clock, tokens } = bench({ ttlMs: 10_000 });
    let token = '';
    let answer: unknown = 'not asked';
    clock.after(1, () => {
      answer = tokens.infoOf(token, 1);
    });
    token = login(tokens, 'alice', 7);
    await clock.jump(pauseMs);
    assert.equal(typeof answer === 'object', isValid, `asked before the first look, after ${pauseMs} ms`);
    assert.equal(tokens.count, isValid ? 1 : 0);
  }
});

test('etcd gives a token five minutes where it is told none', async () => {
  for (const ttlMs of [0, -1000]) {
    const { clock, tokens } = bench({ ttlMs });
    login(tokens, 'alice', 7);
    await clock.advance(299_000);
    assert.equal(tokens.count, 1);
    await clock.advance(3000);
    assert.equal(tokens.count, 0);
  }
});

test('the tokens of a user, and all of them, can be taken back', () => {
  const { clock, tokens } = bench();
  const [first, second, other] = [
    login(tokens, 'alice', 1),
    login(tokens, 'alice', 2),
    login(tokens, 'bob', 3),
  ];
  tokens.invalidate('alice');
  assert.equal(tokens.infoOf(first, 1), 'unknown');
  assert.equal(tokens.infoOf(second, 1), 'unknown');
  assert.deepEqual(tokens.infoOf(other, 1), { username: 'bob', revision: 1 });
  tokens.clear();
  assert.equal(tokens.infoOf(other, 1), 'unknown');
  assert.equal(clock.timerCount, 0);
  login(tokens, 'bob', 4);
  assert.equal(clock.timerCount, 1, 'after authentication is on again');
  tokens.close();
  assert.equal(clock.timerCount, 0);
});

test('with too many, the one that was unused for longest is forgotten', () => {
  const { tokens } = bench({ countMax: 3 });
  const [a, b, c] = [login(tokens, 'a', 1), login(tokens, 'b', 2), login(tokens, 'c', 3)];
  tokens.infoOf(a, 1);
  const d = login(tokens, 'd', 4);
  assert.equal(tokens.count, 3);
  assert.equal(tokens.infoOf(b, 1), 'unknown');
  for (const token of [a, c, d]) assert.equal(typeof tokens.infoOf(token, 1), 'object');
});
