import assert from 'node:assert/strict';
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { realDisk } from '../../../../src/bytes/disk.ts';
import { verify } from '../../../../src/check/verify.ts';
import { RefusedError, UsageError } from '../../../../src/errors.ts';
import { plainContext } from '../../../../src/ops/context.ts';
import type { Layout } from '../../../../src/ops/snapshot/restore/database.ts';
import { type RestoreOptions, restoreSnapshot } from '../../../../src/ops/snapshot/restore.ts';
import { assertFree, assertSpace, spaceNeeds, Staging } from '../../../../src/ops/snapshot/restore/target.ts';
import { faultyDisk, hastyDisk } from '../../../support/faulty-disk.ts';
import { fixture } from '../../../support/fixtures.ts';
import { scratch } from '../../../support/scratch.ts';

const SNAPSHOT = fixture('snap/snap-3.6.db');
const CLUSTER = 'a=http://127.0.0.1:41101,b=http://127.0.0.1:41102';
const isRoot = process.getuid?.() === 0;

function restore(
  target: RestoreOptions['target'],
  context = plainContext(),
  over: Partial<RestoreOptions> = {},
): Promise<unknown> {
  const whole =
    'allMembers' in target ? target : { name: 'a', peerUrls: 'http://127.0.0.1:41101', ...target };
  return restoreSnapshot(SNAPSHOT, { target: whole, initialCluster: CLUSTER, ...over }, context);
}

/** Every name below a directory, with what it is. */
function tree(path: string): string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .map(
      (entry) =>
        `${join(entry.parentPath, entry.name).slice(path.length + 1)}${entry.isDirectory() ? '/' : ''}`,
    )
    .sort();
}

const MEMBER = [
  'member/',
  'member/snap/',
  'member/snap/0000000000000001-0000000000000002.snap',
  'member/snap/db',
  'member/wal/',
  'member/wal/0000000000000000-0000000000000000.wal',
];

describe('where a member comes to be', () => {
  test('an absent directory, its parents too', async (t) => {
    const dir = scratch(t);
    await restore({ dataDir: join(dir, 'x/y/data') });
    assert.deepEqual(tree(join(dir, 'x/y/data')), MEMBER);
    assert.deepEqual(readdirSync(dir), ['x']);
    assert.equal(statSync(join(dir, 'x/y/data')).mode & 0o777, 0o700);
    assert.equal(statSync(join(dir, 'x/y/data/member/snap/db')).mode & 0o777, 0o600);
  });

  test('an empty one that is there, a mount point with lost+found', async (t) => {
    const dir = scratch(t);
    mkdirSync(join(dir, 'lost+found'), { mode: 0o700 });
    const { ino } = statSync(dir);
    await restore({ dataDir: dir });
    assert.deepEqual(tree(dir), ['lost+found/', ...MEMBER]);
    assert.equal(statSync(dir).ino, ino);
  });

  test('what a link points to', async (t) => {
    const dir = scratch(t);
    mkdirSync(join(dir, 'disk'));
    symlinkSync('disk', join(dir, 'data'));
    await restore({ dataDir: join(dir, 'data') });
    assert.deepEqual(tree(join(dir, 'disk')), MEMBER);
    assert.ok(lstatSync(join(dir, 'data')).isSymbolicLink());
  });

  const places: [what: string, walDir: string, hasEmpty: boolean][] = [
    ['beside', 'wal', false],
    ['beside an empty data directory', 'wal', true],
    ['inside the data directory', 'data/wal', false],
    ['inside an empty data directory', 'data/some/wal', true],
    ['inside member', 'data/member/log', false],
    ['under a parent that is not there', 'p/q/wal', false],
  ];
  for (const [what, walDir, hasEmpty] of places) {
    test(`the log ${what}`, async (t) => {
      const dir = scratch(t);
      const dataDir = join(dir, 'data');
      if (hasEmpty) mkdirSync(dataDir);
      await restore({ dataDir, walDir: join(dir, walDir) });
      assert.deepEqual(readdirSync(join(dir, walDir)), ['0000000000000000-0000000000000000.wal']);
      assert.ok(!existsSync(join(dataDir, 'member/wal')));
      assert.deepEqual(
        readdirSync(join(dataDir, 'member/snap')),
        MEMBER.slice(2, 4).map((path) => path.slice(12)),
      );
      assert.deepEqual(
        tree(dir).filter((path) => path.includes('etcdkit')),
        [],
      );
      assert.equal((await verify(dataDir, { walDir: join(dir, walDir) })).verdict, 'GOOD');
    });
  }

  test('members of one run beside others', async (t) => {
    const dir = scratch(t);
    writeFileSync(join(dir, 'notes.txt'), '');
    mkdirSync(join(dir, 'b.etcd'));
    await restore({ allMembers: dir });
    assert.deepEqual(readdirSync(dir).sort(), ['a.etcd', 'b.etcd', 'notes.txt']);
    assert.deepEqual(tree(join(dir, 'b.etcd')), MEMBER);
  });
});

describe('what is refused', () => {
  test('a data directory that holds something', (t) => {
    const dir = scratch(t);
    writeFileSync(join(dir, 'file'), '');
    for (const dataDir of [dir, join(dir, 'file')]) {
      assert.throws(
        () => assertFree({ dataDir, walDir: undefined }),
        (error) => {
          assert.ok(error instanceof RefusedError);
          assert.equal(error.message, `data-dir "${dataDir}" not empty or could not be read`);
          return true;
        },
      );
    }
    symlinkSync('nowhere', join(dir, 'dangling'));
    assert.throws(
      () => assertFree({ dataDir: join(dir, 'dangling'), walDir: undefined }),
      /not empty or could not be read/,
    );
  });

  test('a log directory that exists, even an empty one', (t) => {
    const walDir = scratch(t);
    assert.throws(() => assertFree({ dataDir: join(walDir, 'data'), walDir: scratch(t) }), {
      code: 'restore.target-exists',
      message: /^wal-dir ".*" exists$/,
    });
  });

  test('a log directory around the data directory', (t) => {
    const dir = scratch(t);
    const walDir = join(dir, 'wal');
    for (const dataDir of [walDir, join(walDir, 'data')])
      assert.throws(() => assertFree({ dataDir, walDir }), UsageError);
  });

  test('what a killed run left is named, and not in the way', (t) => {
    const dir = scratch(t);
    const leftover = join(dir, '.member.etcdkit-123-0badcafe');
    mkdirSync(leftover);
    assert.deepEqual(assertFree({ dataDir: dir, walDir: undefined }), [leftover]);
  });

  test('too little room', (t) => {
    const targets = [{ dataDir: join(scratch(t), 'data'), walDir: undefined }];
    assertSpace(spaceNeeds(targets, 1));
    assert.throws(() => assertSpace(spaceNeeds(targets, 2 ** 52)), { code: 'restore.space' });
  });
});

test('a rename that fails takes the others back', (t) => {
  const dir = scratch(t);
  const disk = realDisk();
  const staging = new Staging({ ...disk, rename: failOn('two', (from, to) => disk.rename(from, to)) });
  for (const name of ['one', 'two']) staging.place(join(dir, name, 'inner'), undefined);
  assert.throws(() => staging.commit(), /two/);
  assert.equal(readdirSync(dir).filter((name) => !name.startsWith('.')).length, 0);
  staging.discard();
  assert.deepEqual(readdirSync(dir), []);
});

function failOn(
  name: string,
  rename: (from: string, to: string) => void,
): (from: string, to: string) => void {
  return (from, to) => {
    if (to.endsWith(name)) throw new RefusedError('io.failed', `${name} was made to fail`);
    rename(from, to);
  };
}

interface Scene {
  what: string;
  layout: Layout;
  /** Makes what is there before. */
  prepare: (dir: string) => RestoreOptions['target'];
}

const SCENES: Scene[] = [
  { what: 'an absent target', layout: 'packed', prepare: (dir) => ({ dataDir: join(dir, 'new/data') }) },
  { what: 'a copy page for page', layout: 'preserved', prepare: (dir) => ({ dataDir: join(dir, 'data') }) },
  {
    what: 'a mount point and a log elsewhere',
    layout: 'packed',
    prepare: (dir) => {
      mkdirSync(join(dir, 'data/lost+found'), { recursive: true });
      return { dataDir: join(dir, 'data'), walDir: join(dir, 'log/wal') };
    },
  },
  {
    what: 'all members in a new directory',
    layout: 'packed',
    prepare: (dir) => ({ allMembers: join(dir, 'out') }),
  },
  {
    what: 'all members beside something',
    layout: 'quick',
    prepare: (dir) => {
      writeFileSync(join(dir, 'other'), '');
      return { allMembers: dir };
    },
  },
];

/** How many operations it takes when nothing fails. */
async function countOperations(t: TestContext, { layout, prepare }: Scene): Promise<number> {
  let count = 0;
  const disk = faultyDisk(undefined, { disk: hastyDisk(), onCall: () => count++ });
  await restore(prepare(scratch(t)), plainContext({ disk }), { layout });
  assert.ok(count > 15);
  return count;
}

describe('when an operation fails', () => {
  for (const scene of SCENES) {
    const { what, layout, prepare } = scene;
    test(`${what}: nothing is left, whichever it is`, async (t) => {
      const total = await countOperations(t, scene);
      for (let at = 1; at <= total; at++) {
        const dir = scratch(t);
        const target = prepare(dir);
        const before = tree(dir);
        const disk = faultyDisk({ kind: 'fail once', at }, { disk: hastyDisk() });
        await assert.rejects(
          restore(target, plainContext({ disk }), { layout }),
          `operation ${at} of ${total}`,
        );
        assert.deepEqual(tree(dir), before, `after operation ${at} of ${total}`);
      }
    });

    test(`${what}: when all that follow fail too, nothing looks whole unless it is`, async (t) => {
      const total = await countOperations(t, scene);
      for (let at = 1; at <= total; at++) {
        const dir = scratch(t);
        const target = prepare(dir);
        const disk = faultyDisk({ kind: 'go dead', at }, { disk: hastyDisk() });
        await assert.rejects(restore(target, plainContext({ disk }), { layout }));
        const databases = tree(dir).filter(
          (path) => path.endsWith('member/snap/db') && !path.includes('.etcdkit-'),
        );
        for (const database of databases) {
          const walDir = 'walDir' in target && target.walDir ? { walDir: target.walDir } : {};
          const dataDir = join(dir, database.slice(0, -'member/snap/db'.length));
          assert.equal((await verify(dataDir, walDir)).verdict, 'GOOD');
        }
      }
    });
  }

  test('an interrupted run leaves nothing', async (t) => {
    for (const { layout, prepare } of SCENES) {
      const dir = scratch(t);
      const target = prepare(dir);
      const before = tree(dir);
      const context = plainContext({ signal: AbortSignal.abort() });
      await assert.rejects(restore(target, context, { layout }), { code: 'interrupted' });
      assert.deepEqual(tree(dir), before);
    }
  });
});

describe('the owner', { skip: isRoot ? false : 'only root can give files away' }, () => {
  const owners = (dir: string): string[] => {
    const ids = tree(dir).map((path) => statSync(join(dir, path)));
    return [...new Set(ids.map(({ uid, gid }) => `${uid}:${gid}`))];
  };

  test('is that of the directory the target comes into', async (t) => {
    const dir = scratch(t);
    chownSync(dir, 1234, 2345);
    await restore({ dataDir: join(dir, 'x/data'), walDir: join(dir, 'wal') });
    assert.deepEqual(owners(dir), ['1234:2345']);
  });

  test('is that of an empty target', async (t) => {
    const dir = scratch(t);
    mkdirSync(join(dir, 'data'));
    chownSync(join(dir, 'data'), 1234, 2345);
    await restore({ dataDir: join(dir, 'data') });
    assert.deepEqual(owners(join(dir, 'data')), ['1234:2345']);
  });

  test('is of each member its own', async (t) => {
    const dir = scratch(t);
    mkdirSync(join(dir, 'a.etcd'));
    chownSync(join(dir, 'a.etcd'), 1234, 2345);
    await restore({ allMembers: dir });
    assert.deepEqual(owners(join(dir, 'a.etcd')), ['1234:2345']);
    assert.deepEqual(owners(join(dir, 'b.etcd')), ['0:0']);
  });

  test('can be given', async (t) => {
    const dir = scratch(t);
    await restore({ allMembers: join(dir, 'out') }, plainContext(), { owner: { uid: 42, gid: 43 } });
    assert.deepEqual(owners(dir), ['42:43']);
  });
});
