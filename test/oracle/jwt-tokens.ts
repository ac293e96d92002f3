/** Tokens made by hand that a server with given keys is shown, each with the name of what is particular about it. */
import { createHmac } from 'node:crypto';
import { type Algorithm, type Keys, makeKeys, partOf, signatureOf, tokenOf } from './jwt-forge.ts';

/** As `authmatrix tokens` reads it from stdin. */
export interface ShownToken {
  name: string;
  token: string;
}

type Json = Record<string, unknown>;

/** Another algorithm for keys of the same kind. */
const SIBLINGS: Readonly<Record<Algorithm, Algorithm>> = {
  RS256: 'RS384',
  RS384: 'RS512',
  RS512: 'RS256',
  PS256: 'PS384',
  PS384: 'PS512',
  PS512: 'PS256',
  ES256: 'ES384',
  ES384: 'ES512',
  ES512: 'ES256',
  EdDSA: 'EdDSA',
  HS256: 'HS384',
  HS384: 'HS512',
  HS512: 'HS256',
};

/** `revision` is that of users and roles on the server. */
export function handmadeTokens(keys: Keys, revision: number, folder: string): ShownToken[] {
  return [
    ...claimTokens(keys, revision),
    ...timeTokens(keys, revision),
    ...headerTokens(keys, revision),
    ...signatureTokens(keys, revision, folder),
    ...formTokens(keys, revision),
  ];
}

const now = (): number => Math.floor(Date.now() / 1000);
const goodClaims = (revision: number): Json => ({ username: 'ann', revision, exp: now() + 600 });

function signed(keys: Keys, claims: object | string, header: Json = {}): string {
  const { algorithm } = keys;
  return tokenOf({ alg: algorithm, typ: 'JWT', ...header }, claims, (text) =>
    signatureOf(text, algorithm, keys),
  );
}

function without(claims: Json, name: string): Json {
  return Object.fromEntries(Object.entries(claims).filter(([each]) => each !== name));
}

/** Who it says it is of, and of which state of users and roles. */
function claimTokens(keys: Keys, revision: number): ShownToken[] {
  const good = goodClaims(revision);
  const claims: Record<string, object | string> = {
    good,
    'of root': { ...good, username: 'root' },
    'of a user without roles': { ...good, username: 'bob' },
    'of a user without password': { ...good, username: 'without' },
    'of nobody known': { ...good, username: 'absent' },
    'of an empty name': { ...good, username: '' },
    'of a number': { ...good, username: 1 },
    'of a list of names': { ...good, username: ['ann'] },
    'of no name': without(good, 'username'),
    'of a name in capitals': { ...without(good, 'username'), Username: 'ann' },
    'of two names': `{"username":"absent","revision":${revision},"username":"ann"}`,
    'of the revision before': { ...good, revision: revision - 1 },
    'of the revision after': { ...good, revision: revision + 1 },
    'of revision 0': { ...good, revision: 0 },
    'of no revision': without(good, 'revision'),
    'of a fractional revision': { ...good, revision: revision + 0.9 },
    'of a negative revision': { ...good, revision: -revision },
    'of a small negative revision': { ...good, revision: -0.5 },
    'of a large revision': { ...good, revision: 2 ** 53 },
    'of a revision that is a text': { ...good, revision: String(revision) },
    'of a revision that is nothing': { ...good, revision: null },
    'with more claims': { ...good, iss: 'x', aud: ['y'], sub: 'z', jti: '1', admin: true },
    'with claims that are no object': '["ann"]',
    'with claims that are no JSON': '{"username":"ann",',
    'with something behind its claims': `${JSON.stringify(good)} {}`,
    'with blanks around its claims': ` ${JSON.stringify(good)}\n`,
    'with claims that are nothing': 'null',
    'with empty claims': '',
    'with a mark before its claims': `\u{feff}${JSON.stringify(good)}`,
  };
  return Object.entries(claims).map(([name, each]) => ({ name, token: signed(keys, each) }));
}

function timeTokens(keys: Keys, revision: number): ShownToken[] {
  const good = goodClaims(revision);
  const claims: Record<string, Json> = {
    expired: { ...good, exp: now() - 10 },
    'expired long ago': { ...good, exp: 1 },
    'of an end at 0': { ...good, exp: 0 },
    'of a negative end': { ...good, exp: -1 },
    'of no end': without(good, 'exp'),
    'of a fractional end': { ...good, exp: now() + 600.5 },
    'of an end far away': { ...good, exp: 1e15 },
    'of an end that is a text': { ...good, exp: String(now() + 600) },
    'of an end that is nothing': { ...good, exp: null },
    'not before long': { ...good, nbf: now() + 300 },
    'not before a while ago': { ...good, nbf: now() - 300 },
    'not before 0': { ...good, nbf: 0 },
    'not before a text': { ...good, nbf: 'tomorrow' },
    'made in the future': { ...good, iat: now() + 300 },
    'made at a text': { ...good, iat: 'tomorrow' },
    'made at nothing': { ...good, iat: null },
  };
  return Object.entries(claims).map(([name, each]) => ({ name, token: signed(keys, each) }));
}

function headerTokens(keys: Keys, revision: number): ShownToken[] {
  const good = goodClaims(revision);
  const headers: Record<string, Json> = {
    'with a key id': { kid: 'key' },
    'with another type': { typ: 'at+jwt' },
    'with a type that is a number': { typ: 1 },
    'with what must be understood': { crit: ['exp'], exp: 1 },
    'with nothing that must be understood': { crit: [] },
    'with an unencoded payload': { crit: ['b64'], b64: false },
    'with an embedded key': { jwk: { kty: 'oct', k: 'AAAA' } },
    'with a content type': { cty: 'JWT' },
  };
  const { algorithm } = keys;
  const sign = (text: string): Buffer => signatureOf(text, algorithm, keys);
  const texts: Record<string, string> = {
    'with a header that is no JSON': '{"alg":',
    'with a header that is a list': `["${algorithm}"]`,
    'without an algorithm': '{"typ":"JWT"}',
    'with an algorithm that is a number': '{"alg":1}',
    'with the algorithm in small letters': `{"alg":"${algorithm.toLowerCase()}x"}`,
    'with two algorithms, the last good': `{"alg":"none","alg":"${algorithm}"}`,
    'with two algorithms, the first good': `{"alg":"${algorithm}","alg":"none"}`,
    'without a type': `{"alg":"${algorithm}"}`,
  };
  return [
    ...Object.entries(headers).map(([name, header]) => ({ name, token: signed(keys, good, header) })),
    ...Object.entries(texts).map(([name, header]) => ({ name, token: tokenOf(header, good, sign) })),
  ];
}

function signatureTokens(keys: Keys, revision: number, folder: string): ShownToken[] {
  const { algorithm } = keys;
  const good = goodClaims(revision);
  const sibling = SIBLINGS[algorithm];
  const other = makeKeys(algorithm, folder, 'other');
  // Keys of elliptic curves fit one algorithm alone.
  const siblingKeys = algorithm.startsWith('ES') ? makeKeys(sibling, folder, 'sibling') : keys;
  const unsigned = (alg: string): string => tokenOf({ alg, typ: 'JWT' }, good, () => Buffer.alloc(0));
  const withPublic = (alg: 'HS256' | 'HS512'): string =>
    tokenOf({ alg, typ: 'JWT' }, good, (text) =>
      createHmac(`sha${alg.slice(2)}`, keys.publicText ?? 'guessed')
        .update(text)
        .digest(),
    );
  const header = { alg: algorithm, typ: 'JWT' };
  const all: Record<string, string> = {
    unsigned: unsigned('none'),
    'unsigned in other letters': unsigned('None'),
    'unsigned with the right algorithm': unsigned(algorithm),
    'signed with the public key as a secret': withPublic('HS256'),
    'signed with the public key as a longer secret': withPublic('HS512'),
    'signed with another key': signed(other, good),
    'of another algorithm': tokenOf({ alg: sibling, typ: 'JWT' }, good, (text) =>
      signatureOf(text, sibling, siblingKeys),
    ),
    'of another algorithm than it says': tokenOf(header, good, (text) =>
      signatureOf(text, sibling === algorithm ? 'EdDSA' : sibling, siblingKeys).subarray(1),
    ),
    'with a signature too long': tokenOf(header, good, (text) =>
      Buffer.concat([signatureOf(text, algorithm, keys), Buffer.from('x')]),
    ),
    'with a signature too short': tokenOf(header, good, (text) =>
      signatureOf(text, algorithm, keys).subarray(0, -1),
    ),
    'with other claims than were signed': withOtherClaims(signed(keys, good), { ...good, username: 'root' }),
  };
  if (algorithm.startsWith('ES'))
    all['with a signature as in certificates'] = tokenOf(header, good, (text) =>
      signatureOf(text, algorithm, keys, { isDer: true }),
    );
  if (algorithm.startsWith('PS')) {
    for (const saltLength of [0, 10, 100])
      all[`with a salt of ${saltLength} bytes`] = tokenOf(header, good, (text) =>
        signatureOf(text, algorithm, keys, { saltLength }),
      );
  }
  return Object.entries(all).map(([name, token]) => ({ name, token }));
}

function withOtherClaims(token: string, claims: Json): string {
  const [header, , signature] = token.split('.');
  return [header, partOf(claims), signature].join('.');
}

function formTokens(keys: Keys, revision: number): ShownToken[] {
  const good = signed(keys, goodClaims(revision));
  const [header, claims, signature] = good.split('.') as [string, string, string];
  const tokens: Record<string, string> = {
    'in two parts': `${header}.${claims}`,
    'in four parts': `${good}.${signature}`,
    'in five parts': `${good}.${claims}.${signature}`,
    'without its signature': `${header}.${claims}.`,
    'without its header': `.${claims}.${signature}`,
    'without its claims': `${header}..${signature}`,
    'with padding': `${good}=`,
    'with padding twice': `${good}==`,
    'with the other alphabet': `${header}.${claims}.${signature.replaceAll('-', '+').replaceAll('_', '/')}+`,
    'with a letter behind it': `${good}A`,
    'with four letters behind it': `${good}AAAA`,
    'with other bits that count for nothing': `${good.slice(0, -1)}${sameBits(good.at(-1)!, signature.length)}`,
    'with a blank inside': `${header}. ${claims}.${signature}`,
  };
  return Object.entries(tokens).map(([name, token]) => ({ name, token }));
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Another last letter that stands for the same bytes, where there is one. */
function sameBits(letter: string, length: number): string {
  return length % 4 === 0 ? letter : LETTERS[LETTERS.indexOf(letter) ^ 1]!;
}
