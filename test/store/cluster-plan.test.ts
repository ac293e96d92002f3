import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UsageError } from '../../src/errors.ts';
import {
  confStateOf,
  type ClusterOptions,
  planCluster,
  type RestoredCluster,
} from '../../src/store/cluster-plan.ts';

const A = 'http://127.0.0.1:41101';
const B = 'http://127.0.0.1:41102';

function plan(
  over: Partial<ClusterOptions> & { name?: string; peerUrls?: string },
): Promise<RestoredCluster> {
  const { name = 'a', peerUrls = A, ...rest } = over;
  const options = {
    initialCluster: `a=${A},b=${B}`,
    token: 'tokR',
    learners: [],
    local: { name, peerUrls },
    ...rest,
  };
  return planCluster(options);
}

describe('ids', () => {
  test('follow from token and peer URLs', async () => {
    const cluster = await plan({ initialCluster: `a=${A},b=${B},c=http://127.0.0.1:41103` });
    assert.equal(cluster.id.toString(16), '2964d70f28629b0d');
    const ids = cluster.members.map(({ id, name }) => `${name} ${id.toString(16)}`);
    assert.deepEqual(ids, ['a 607abae3c78055b2', 'c a558a9a88b05001b', 'b f77c9bf06ac820cb']);
    assert.deepEqual(
      cluster.locals.map(({ name }) => name),
      ['a'],
    );
  });

  test('are those of etcdutl without any flags', async () => {
    const url = 'http://localhost:2380';
    const cluster = await plan({
      initialCluster: `default=${url}`,
      name: 'default',
      peerUrls: url,
      token: 'etcd-cluster',
    });
    assert.equal(cluster.id.toString(16), 'cdf818194e3a8c32');
    assert.equal(cluster.members[0]!.id.toString(16), '8e9e05c52164694d');
  });

  test('do not depend on the order of URLs', async () => {
    const one = await plan({ initialCluster: `a=${B},a=${A}`, peerUrls: `${A},${B}` });
    const other = await plan({ initialCluster: `a=${A},a=${B}`, peerUrls: `${B}, ${A}` });
    assert.deepEqual(one, other);
    assert.deepEqual(one.members[0]!.peerUrls, [A, B]);
  });
});

describe('learners', () => {
  test('are told apart from voters', async () => {
    const { members } = await plan({ learners: ['b'] });
    const { voters, learners } = confStateOf(members);
    assert.deepEqual(voters, [0x607abae3c78055b2n]);
    assert.deepEqual(learners, [0xf77c9bf06ac820cbn]);
  });

  test('must be members, and not all of them', async () => {
    await assert.rejects(plan({ learners: ['x'] }), /learner "x" is not in the initial cluster/);
    await assert.rejects(plan({ learners: ['a', 'b'] }), /at least one must vote/);
  });
});

/** As etcdutl 3.6.16 says it. */
const REFUSALS: [what: string, options: Parameters<typeof plan>[0], message: string][] = [
  [
    'a name that is not there',
    { name: 'foo' },
    `couldn't find local name "foo" in the initial cluster configuration`,
  ],
  [
    'another URL',
    { initialCluster: 'foo=http://127.0.0.1:2380', name: 'foo', peerUrls: 'http://127.0.0.1:2381' },
    '--initial-cluster has foo=http://127.0.0.1:2380 but missing from --initial-advertise-peer-urls=http://127.0.0.1:2381 (resolved urls: "http://127.0.0.1:2381" != "http://127.0.0.1:2380")',
  ],
  [
    'one URL too few',
    { initialCluster: `a=${A},a=${B}` },
    `--initial-cluster has a=${B} but missing from --initial-advertise-peer-urls=${A} (len(["${A}"]) != len(["${A}" "${B}"]))`,
  ],
  [
    'one URL too many',
    { initialCluster: `a=${A}`, peerUrls: `${A},${B}` },
    `--initial-advertise-peer-urls has ${B} but missing from --initial-cluster=a=${A},a=${B}`,
  ],
  ['a URL twice', { initialCluster: `a=${A},b=${A}` }, `initial cluster a=${A},b=${A} has duplicate url`],
  [
    'no scheme',
    { initialCluster: 'a=127.0.0.1:1' },
    'parse "127.0.0.1:1": first path segment in URL cannot contain colon',
  ],
  [
    'an odd scheme',
    { initialCluster: 'a=ftp://h:1' },
    'URL scheme must be http, https, unix, or unixs: ftp://h:1',
  ],
  [
    'a host for a scheme',
    { initialCluster: 'a=localhost:1' },
    'URL scheme must be http, https, unix, or unixs: localhost:1',
  ],
  ['no URL', { initialCluster: 'a' }, 'URL scheme must be http, https, unix, or unixs: '],
  ['no port', { initialCluster: 'a=http://h' }, 'URL address does not have the form "host:port": http://h'],
  ['an odd port', { initialCluster: 'a=http://h:x' }, 'parse "http://h:x": invalid port ":x" after host'],
  [
    'a bare v6 address',
    { initialCluster: 'a=http://::1:2380' },
    'parse "http://::1:2380": invalid port "::1:2380" after host',
  ],
  ['a path', { initialCluster: 'a=http://h:1/' }, 'URL must not contain a path: http://h:1/'],
  [
    'a control character',
    { peerUrls: 'http://h\u0001:1' },
    'parse "http://h\\u0001:1": net/url: invalid control character in URL',
  ],
  ['no scheme before the colon', { peerUrls: ':1' }, 'parse ":1": missing protocol scheme'],
  ['nothing', { local: undefined, initialCluster: '' }, 'initial cluster unset and no discovery URL found'],
];

describe('refusals', () => {
  for (const [what, options, message] of REFUSALS) {
    test(what, async () => {
      await assert.rejects(plan(options), (error) => {
        assert.ok(error instanceof UsageError);
        assert.equal(error.code, 'restore.membership');
        assert.equal(error.message, message);
        return true;
      });
    });
  }
});

describe('URLs', () => {
  test('of every kind are taken', async () => {
    for (const url of [
      'https://h.example:2380',
      'http://[::1]:2380',
      'unix:///run/etcd',
      'HTTP://h:1',
      'http://h:',
    ]) {
      const { members } = await plan({ initialCluster: `a=${url}`, peerUrls: url });
      assert.equal(members[0]!.peerUrls[0], url.replace('HTTP', 'http'));
    }
  });

  test('are looked up when they differ in text', async () => {
    const asked: string[] = [];
    const resolve = (host: string): Promise<string> => {
      asked.push(host);
      return Promise.resolve('127.0.0.1');
    };
    await plan({ peerUrls: 'http://node-a:41101', resolve });
    assert.deepEqual(asked, ['node-a']);
    await assert.rejects(plan({ peerUrls: 'http://localhost:41101', resolve }), /resolved urls: /);
    const fail = (): Promise<string> => Promise.reject(new TypeError('ENOTFOUND'));
    await assert.rejects(
      plan({ peerUrls: 'http://nowhere:41101', resolve: fail }),
      /failed to resolve "http:\/\/nowhere:41101"/,
    );
  });
});
