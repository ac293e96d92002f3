import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptError } from '../../../src/errors.ts';
import {
  decodeConfState,
  decodeMember,
  decodeMemberChange,
  encodeConfState,
  encodeMember,
} from '../../../src/format/proto/member-json.ts';
import { readFixture, VERSIONS } from '../../support/fixtures.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (encoded: Uint8Array): string => new TextDecoder().decode(encoded);

function bucket(version: string, name: string): [key: string, value: Buffer][] {
  const dump = JSON.parse(readFixture(`expected/buckets-snap-${version}.json`).toString()) as {
    buckets: Record<string, [string, string][]>;
  };
  return (dump.buckets[name] ?? []).map(([key, value]) => [
    Buffer.from(key, 'hex').toString(),
    Buffer.from(value, 'hex'),
  ]);
}

for (const version of VERSIONS) {
  test(`members and confState of ${version} encode to the same bytes`, () => {
    for (const [key, value] of bucket(version, 'members')) {
      const member = decodeMember(value);
      assert.equal(member.id.toString(16), key);
      assert.equal(member.name, `m${version}`);
      assert.equal(text(encodeMember(member)), value.toString());
    }
    const [, value] = bucket(version, 'meta').find(([key]) => key === 'confState') ?? [];
    assert.equal(value === undefined, version === '3.4');
    if (value) assert.equal(text(encodeConfState(decodeConfState(value))), value.toString());
  });
}

test('every form of a membership change encodes to the same bytes', () => {
  for (const context of [
    '{"id":6952074462267200946,"peerURLs":["http://127.0.0.1:41101"],"name":"a"}',
    '{"id":10201784047309075822,"peerURLs":["http://127.0.0.1:41603"],"isLearner":true}',
    '{"id":10201784047309075822,"peerURLs":null,"isPromote":true}',
    '{"id":3,"peerURLs":["https://a:2380","https://[::1]:2380"],"name":"x\\u003c\\u0026\\u003ey","clientURLs":["http://c"]}',
  ]) {
    assert.equal(text(encodeMember(decodeMemberChange(bytes(context)))), context);
  }
  assert.equal(decodeMemberChange(bytes('{"id":1,"peerURLs":null,"isPromote":true}')).isPromote, true);
});

test('confState keeps learners and joint voters', () => {
  const value =
    '{"voters":[1,18446744073709551615],"learners":[3],"voters_outgoing":[4],"learners_next":[5],"auto_leave":true}';
  const state = decodeConfState(bytes(value));
  assert.deepEqual(state.voters, [1n, 18446744073709551615n]);
  assert.equal(text(encodeConfState(state)), value);
  assert.equal(text(encodeConfState({})), '{"auto_leave":false}');
});

test('other shapes are damage, other names are not', () => {
  for (const bad of [
    '[]',
    '{"id":"1"}',
    '{"peerURLs":[]}',
    '{"id":-1}',
    '{"id":1.5}',
    '{"id":1,"peerURLs":{}}',
    '{"id":1,"peerURLs":[2]}',
    '{"id":1,"name":3}',
    '{"id":1,"isLearner":1}',
    '{"id":18446744073709551616}',
  ]) {
    assert.throws(
      () => decodeMember(bytes(bad), { file: 'm' }),
      (error: unknown) => {
        assert.ok(error instanceof CorruptError, bad);
        assert.equal(error.code, 'json.malformed');
        return true;
      },
    );
  }
  assert.equal(decodeMember(bytes('{"id":1,"new":{"a":[1]}}')).id, 1n);
});
