/** Requests to a JSON gateway, good and bad, that two servers with the same history must answer alike. */
import { ROUTES } from '../../src/server/gateway/routes.ts';

export interface Step {
  path: string;
  /** As it is sent; `$SELF` stands for the member's id. */
  body: string;
  method?: string;
  headers?: Readonly<Record<string, string>>;
}

export const base64 = (text: string): string => Buffer.from(text).toString('base64');

const step = (path: string, body: unknown = {}, more: Omit<Step, 'path' | 'body'> = {}): Step => ({
  path: `/v3/${path}`,
  body: typeof body === 'string' ? body : JSON.stringify(body),
  ...more,
});

const KEY = base64('foo');
const RANGE = { key: KEY };
const range = (more: object, headers = {}): Step => step('kv/range', { ...RANGE, ...more }, { headers });
/** JSON as it is, where `JSON.stringify` would make it good. */
const raw = (body: string): Step => step('kv/range', body);

/** Every path that takes one message: what is no message, no JSON, and no POST. */
export function everyRoute(): Step[] {
  const steps: Step[] = [];
  for (const [path, { shape }] of ROUTES) {
    const name = path.slice('/v3/'.length);
    if (shape !== 'both') steps.push(step(name, '[]'), step(name, '{"x'));
    steps.push(step(name, '', { method: 'GET' }), step(name, '{}', { method: 'DELETE' }));
  }
  return steps;
}

export function paths(): Step[] {
  const at = (path: string, method = 'POST', body = JSON.stringify(RANGE)): Step => ({ path, method, body });
  return [
    at('/v3'),
    at('/v3', 'GET', ''),
    at('/v3/'),
    at('/v3/', 'GET', ''),
    at('/v3/kv'),
    at('/v3/kv/nothing'),
    at('/v3/kv/nothing', 'GET', ''),
    at('/v3/kv/range/'),
    at('/v3/kv/range/more'),
    at('/v3/KV/range'),
    at('/v3/kv/range:read'),
    at('/v3//kv/range'),
    at('/v3//kv/range?a=b', 'GET', ''),
    at('/v3/./kv/range'),
    at('/v3/lease/../kv/range'),
    at('/v3/kv/%72ange'),
    at('/v3/kv%2Frange'),
    at('/v3/kv/range?limit=1'),
    at('/v3beta/kv/range'),
    at('/v3beta/kv/nothing'),
    at('/v3alpha/kv/range'),
    at('/v4/kv/range'),
    at('/v3/kv/range', 'OPTIONS'),
    at('/v3/kv/range', 'HEAD', ''),
    at('/v3/kv/range', 'PUT'),
    at('/v3/kv/range', 'PATCH'),
  ];
}

export function json(): Step[] {
  return [
    ...['', ' ', ' \n\t', '{}', '{} x', 'null', '5', '-0.5e+1', '5x', 'true', 'tru', '"text"', '"te'].map(
      raw,
    ),
    ...['[1]', 'x', '{', '{"key"', '{"key"x', '{"key":', '{"key":}', '{"key":"Zm9v"', '{"key":"Zm9v",'].map(
      raw,
    ),
    ...['{"key":"Zm9v",}', '{"key":"Zm9v" "limit":1}', '{,}', "{'key':1}", '{key:1}', '[1,]', '[1 2]'].map(
      raw,
    ),
    ...['{"limit":01}', '{"limit":1.}', '{"limit":1e}', '{"limit":-}', '{"limit":+1}', '{"key":nul}'].map(
      raw,
    ),
    ...['{"key":"\\x"}', '{"key":"\\u12g4"}', '{"key":"a\nb"}', '{"key":"a\u0001"}', '{"key":\u00e9}'].map(
      raw,
    ),
    ...['{"key":"Zm9v","limit":"1"}{', '{"key":"\\u005am9v"}', '{"k\\u0065y":"Zm9v"}', '\ufeff{}'].map(raw),
    ...['{"x":"\\ud800"}', '{"x":"\\ud800abcdef"}', '{"x":"\\ud83d\\ude00","key":"Zm9v"}'].map(raw),
    ...[
      '{"x":"\\udc00\\ud800 "}',
      '{"a":\n  {"key": [1, {}, "}"]},\n "key": 5}',
      '{"key":"Zm9v","key":1}',
    ].map(raw),
    raw('['.repeat(10_001)),
    raw(`{"x":${'['.repeat(500)}${']'.repeat(500)},"key":"Zm9v"}`),
  ];
}

export function values(): Step[] {
  const limits = [
    '1',
    1,
    '1.0',
    1.5,
    '1e2',
    1e2,
    '-1',
    -0,
    '',
    ' 1',
    '1 ',
    '1,',
    '0x1',
    '01',
    true,
    null,
    [],
    {},
  ];
  const wide = [
    '9223372036854775807',
    '9223372036854775808',
    '-9223372036854775808',
    '1e18',
    '1e30',
    '100e-2',
  ];
  const numbers = [
    '9223372036854775807',
    '9223372036854775808',
    '1e18',
    '12300e-2',
    '12345e-2',
    '0.0',
    '0e99',
  ];
  const keys = [
    'Zm9v',
    'Zm8=',
    'Zm8',
    'Zm8==',
    'Zm9v=',
    '_-8=',
    '_-8',
    '/+8=',
    '/+_8',
    'Zm\n9v',
    'Z',
    '=',
    '',
    'é',
  ];
  const orders = [
    'NONE',
    'ASCEND',
    'DESCEND',
    'descend',
    'NOTHING',
    '1',
    0,
    1,
    2,
    3,
    -1,
    1.5,
    true,
    null,
    3e9,
  ];
  return [
    ...limits.map((limit) => range({ limit })),
    ...wide.map((limit) => range({ limit })),
    ...numbers.map((limit) => raw(`{"key":"Zm9v","limit":${limit}}`)),
    ...keys.map((key) => step('kv/range', { key })),
    ...[5, true, {}, [], ['Zm9v'], null].map((key) => step('kv/range', { key })),
    ...orders.map((order) => range({ sort_order: order, range_end: base64('fop') })),
    ...['KEY', 'VALUE', 'MOD', 'LEASE'].map((target) =>
      range({ sort_target: target, sort_order: 'DESCEND' }),
    ),
    ...[true, false, 'true', 1, null].map((serializable) => range({ serializable })),
    range({ keysOnly: true }),
    range({ keys_only: true, countOnly: false }),
    range({ keysonly: true, KEYS_ONLY: true }),
    range({ rangeEnd: base64('fop'), count_only: true }),
    range({ range_end: base64('fop'), rangeEnd: base64('fop') }),
    range({ '[some.extension]': 1, '@type': 'x' }),
    range({ minModRevision: '3', maxCreateRevision: 9 }),
    range({ revision: 1000 }),
    range({ revision: -1 }),
    step('cluster/member/remove', { ID: -1 }),
    step('cluster/member/remove', { ID: '18446744073709551615' }),
    step('cluster/member/remove', { ID: '18446744073709551616' }),
    step('cluster/member/remove', { id: '18446744073709551616' }),
    step('cluster/member/add', { peerURLs: ['x', 5] }),
    step('cluster/member/add', { peerURLs: 'x' }),
    step('cluster/member/add', { peerURLs: [null] }),
    step('auth/user/add', { name: 5 }),
    step('auth/role/grant', { name: 'r', perm: { permType: [] } }),
    step('auth/role/grant', { perm: 'READ' }),
  ];
}

export function keysAndValues(): Step[] {
  const put = (key: string, value: string, more = {}): Step =>
    step('kv/put', { key: base64(key), value: base64(value), ...more });
  const txn = (body: object): Step => step('kv/txn', body);
  const is = (result: unknown, value: string): object => ({
    key: KEY,
    result,
    target: 'VALUE',
    value: base64(value),
  });
  const get = { request_range: RANGE };
  const set = { requestPut: { key: KEY, value: base64('txn'), prev_kv: true } };
  const remove = { request_delete_range: { key: base64('b'), prevKv: true } };
  return [
    put('foo', 'bar'),
    put('foo', 'bar2', { prev_kv: true }),
    put('b', '<&>\u2028é'),
    put('c', ''),
    put('', 'x'),
    put('foo', '', { ignore_value: true, prevKv: true }),
    put('foo', 'x', { ignore_value: true }),
    put('none', '', { ignoreValue: true }),
    put('foo', 'x', { lease: '77' }),
    put('foo', 'x', { ignore_lease: true }),
    put('big', 'x'.repeat(1_600_000)),
    put('huge', 'x'.repeat(2_200_000)),
    range({ range_end: base64('\0') }),
    step('kv/range', { key: 'AA==', range_end: 'AA==', limit: 2 }),
    step('kv/range', { key: base64('nothing') }),
    txn({ compare: [is('EQUAL', 'x')], success: [get, set], failure: [get] }),
    txn({ compare: [is('NOT_EQUAL', 'x')], success: [set, get, remove], failure: [] }),
    txn({ compare: [is(3, 'txn')], success: [], failure: [get, { request_txn: { success: [get] } }] }),
    txn({ compare: [{ key: KEY, target: 'CREATE', create_revision: 2, createRevision: 2 }] }),
    txn({ compare: [{ key: KEY, target: 'CREATE', create_revision: 2, mod_revision: 2 }] }),
    txn({ compare: [{ key: KEY, target: 'CREATE', create_revision: null, mod_revision: 2 }] }),
    txn({ compare: [{ key: KEY, target: 'CREATE', createRevision: '2' }], success: [get] }),
    txn({ compare: [{ key: KEY, target: 'VERSION', version: '0', result: 'GREATER' }] }),
    txn({ success: [{ request_range: RANGE, request_put: {} }] }),
    txn({ success: [{ request_range: null, request_put: { key: KEY, value: base64('y') } }] }),
    txn({ success: [{}] }),
    txn({ success: [null] }),
    txn({ success: {} }),
    txn({ success: [set, set] }),
    txn({ success: Array.from({ length: 129 }, () => get) }),
    txn({ success: [{ request_range: {} }] }),
    txn({}),
    step('kv/deleterange', { key: base64('c'), prev_kv: true }),
    step('kv/deleterange', { key: base64('c') }),
    step('kv/deleterange', {}),
    step('kv/compaction', { revision: '3' }),
    step('kv/compaction', { revision: '3', physical: true }),
    step('kv/compaction', { revision: '300' }),
    range({ revision: 2 }),
  ];
}

export function others(): Step[] {
  const lock = { name: base64('job'), lease: '5' };
  const candidate = { name: base64('vote'), lease: '5' };
  const named = { name: base64('vote') };
  return [
    step('lease/grant', { ID: '5', TTL: 600 }),
    step('lease/grant', { id: '6', ttl: 600, ID: '5', TTL: 600 }),
    step('lease/grant', { ID: '6', TTL: '9223372036854775807' }),
    step('lease/grant', { ID: '6', TTL: 0 }),
    step('kv/put', { key: base64('leased'), lease: '5' }),
    step('lease/timetolive', { ID: '5', keys: true }),
    step('kv/lease/timetolive', { ID: '9' }),
    step('lease/leases', ''),
    step('kv/lease/leases'),
    step('lease/revoke', { ID: '9' }),
    step('kv/lease/revoke', { ID: 9 }),
    step('lock/lock', lock),
    step('lock/lock', { ...lock, lease: '9' }),
    step('lock/unlock', { key: base64('job/5') }),
    step('election/leader', named),
    step('election/campaign', { ...candidate, value: base64('me') }),
    step('election/leader', named),
    step('election/proclaim', { value: base64('you') }),
    step('election/proclaim', { leader: { ...candidate, key: base64('vote/5'), rev: '1' } }),
    step('election/resign', { leader: { ...candidate, key: base64('vote/5'), rev: 1 } }),
    step('election/resign', { leader: null }),
    step('lease/revoke', { ID: '5' }),
    step('cluster/member/list'),
    step('cluster/member/list', { linearizable: true }),
    step('cluster/member/promote', { ID: '99' }),
    step('cluster/member/promote', { ID: '$SELF' }),
    step('cluster/member/remove', { ID: '99' }),
    step('cluster/member/update', { ID: '99', peerURLs: ['http://a:1'] }),
    step('maintenance/alarm', { action: 'GET', alarm: 'NOSPACE' }),
    step('maintenance/alarm', { action: 'ACTIVATE', memberID: '$SELF', alarm: 'CORRUPT' }),
    step('maintenance/alarm', { action: 1, memberID: '$SELF', alarm: 2 }),
    step('maintenance/alarm'),
    step('maintenance/status'),
    range({}),
    step('maintenance/alarm', { action: 'DEACTIVATE', memberID: '$SELF', alarm: 'CORRUPT' }),
    step('maintenance/status'),
    step('maintenance/hashkv'),
    step('maintenance/hashkv', { revision: '4' }),
    step('maintenance/hashkv', { revision: '400' }),
    step('maintenance/hash'),
    step('maintenance/defragment'),
    step('maintenance/transfer-leadership', { targetID: '$SELF' }),
    step('maintenance/transfer-leadership', { targetID: '9' }),
    step('maintenance/downgrade', { action: 'CANCEL' }),
    step('maintenance/downgrade', { action: 'VALIDATE', version: 'x' }),
    step('maintenance/downgrade', { action: 'VALIDATE', version: '3.1' }),
  ];
}

export function headers(): Step[] {
  const timeouts = [
    'x',
    '1',
    '1x',
    '1n',
    '0n',
    '-5S',
    '+5S',
    '5S',
    '99999999999H',
    '1.5S',
    '999999999999999999999S',
  ];
  return [
    ...timeouts.map((timeout) => range({}, { 'grpc-timeout': timeout })),
    range({}, { authorization: 'Bearer nothing' }),
    range({}, { authorization: 'nothing' }),
    range({}, { 'grpc-metadata-token': 'nothing', 'grpc-metadata-hasleader': 'true' }),
    range({}, { 'grpc-metadata-a-bin': 'Zm9v' }),
    range({}, { 'grpc-metadata-a-bin': 'Zm8' }),
    range({}, { 'grpc-metadata-a-bin': 'Zm-v' }),
    range({}, { 'grpc-metadata-a~b': 'x' }),
    range({}, { 'grpc-metadata-connection': 'x' }),
    range({}, { 'content-type': 'text/plain', accept: 'text/html' }),
    range({}, { 'content-type': 'application/x-www-form-urlencoded' }),
    range({}, { 'content-type': '///', te: 'trailers' }),
    range({}, { origin: 'http://elsewhere', 'x-forwarded-for': '1.2.3.4', 'x-forwarded-host': 'there' }),
  ];
}
