/** Requests to a JSON gateway, good and bad, that two servers with the same history must answer alike. */
import { ROUTES } from '../../src/server/gateway/routes.ts';

export interface Step {
  path: string;
  /** As it is sent; `$SELF` stands for the member's id. */
  body: string;
  method?: string;
  /** `$TOKEN` stands for the last token that was given. */
  headers?: Readonly<Record<string, string>>;
}

export const base64 = (text: string): string => Buffer.from(text).toString('base64');

export const step = (path: string, body: unknown = {}, more: Omit<Step, 'path' | 'body'> = {}): Step => ({
  path: `/v3/${path}`,
  body: typeof body === 'string' ? body : JSON.stringify(body),
  ...more,
});

const KEY = base64('foo');
const RANGE = { key: KEY };
export const range = (more: object, headers = {}): Step =>
  step('kv/range', { ...RANGE, ...more }, { headers });
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

/** Users, roles, and who may what; from an empty store to one with authentication on, and back. */
export function auth(): Step[] {
  const login = (name: string, password: string): Step => step('auth/authenticate', { name, password });
  const as = (authorization: string, path: string, body: object = {}): Step =>
    step(path, body, { headers: { authorization } });
  const put = { key: base64('app/a'), value: base64('v') };
  return [
    step('auth/status'),
    step('auth/enable'),
    step('auth/disable'),
    login('root', 'secret'),
    step('auth/user/add', { name: 'root', password: 'secret' }),
    step('auth/user/add', { name: 'root', password: 'again' }),
    step('auth/user/add', { password: 'nobody' }),
    step('auth/user/add', { name: 'app', password: 'word' }),
    step('auth/user/add', { name: 'certain', options: { no_password: true } }),
    step('auth/user/add', { name: 'sure', options: { noPassword: true } }),
    step('auth/user/get', { name: 'nobody' }),
    step('auth/user/list'),
    step('auth/user/changepw', { name: 'nobody', password: 'x' }),
    step('auth/user/delete', { name: 'sure' }),
    step('auth/role/add', { name: 'root' }),
    step('auth/role/add', { name: 'app' }),
    step('auth/role/add', { name: 'app' }),
    step('auth/role/list', ''),
    step('auth/role/grant', {
      name: 'app',
      perm: { permType: 'READWRITE', key: base64('app/'), range_end: base64('app0') },
    }),
    step('auth/role/grant', { name: 'app', perm: { permType: 0, key: KEY } }),
    step('auth/role/grant', { name: 'app', perm: { perm_type: 'WRITE', key: base64('x') } }),
    step('auth/role/grant', { name: 'nothing', perm: { key: KEY } }),
    step('auth/role/get', { role: 'app' }),
    step('auth/role/get', { role: 'nothing' }),
    step('auth/role/revoke', { role: 'app', key: base64('x'), range_end: '' }),
    step('auth/user/grant', { user: 'root', role: 'root' }),
    step('auth/user/grant', { user: 'app', role: 'app' }),
    step('auth/user/grant', { user: 'app', role: 'nothing' }),
    step('auth/user/get', { name: 'app' }),
    step('auth/enable'),
    step('auth/status'),
    step('kv/put', put),
    login('app', 'wrong'),
    login('app', 'word'),
    as('$TOKEN', 'kv/put', put),
    as('Bearer $TOKEN', 'kv/range', { key: base64('app/'), rangeEnd: base64('app0') }),
    step('kv/range', { key: base64('app/a') }, { headers: { 'grpc-metadata-token': '$TOKEN' } }),
    as('$TOKEN', 'kv/put', { ...put, key: base64('other') }),
    as('$TOKEN', 'auth/user/list'),
    as('nothing', 'kv/put', put),
    as('Bearer nothing', 'kv/put', put),
    as('$TOKEN', 'maintenance/status'),
    as('$TOKEN', 'maintenance/snapshot'),
    as('$TOKEN', 'maintenance/defragment'),
    as('$TOKEN', 'lease/keepalive', { ID: '1' }),
    step('watch', { create_request: { key: base64('app/a') } }, { headers: { 'grpc-timeout': '200m' } }),
    login('root', 'secret'),
    as('$TOKEN', 'auth/user/revoke', { name: 'app', role: 'app' }),
    as('$TOKEN', 'auth/user/revoke', { name: 'app', role: 'app' }),
    as('$TOKEN', 'auth/role/delete', { role: 'app' }),
    as('$TOKEN', 'auth/user/get', { name: 'app' }),
    as('$TOKEN', 'auth/disable'),
    step('auth/status'),
    step('kv/put', put),
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
