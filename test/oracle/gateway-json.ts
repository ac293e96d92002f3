/** JSON that fits and JSON that does not, as requests to a gateway. */
import { base64, range, type Step, step } from './gateway-requests.ts';

/** JSON as it is, where `JSON.stringify` would make it good. */
const raw = (body: string): Step => step('kv/range', body);

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
