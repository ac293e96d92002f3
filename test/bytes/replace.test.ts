import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { type Disk, realDisk } from '../../src/bytes/disk.ts';
import { removeTree, StagedFile, syncTree, temporaryPath } from '../../src/bytes/replace.ts';
import { ToolError } from '../../src/errors.ts';
import { scratch } from '../support/scratch.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

/** The disk, on which one operation fails. */
function failing(operation: keyof Disk): Disk {
  return {
    ...realDisk(),
    [operation]: () => {
      throw new ToolError('io.no-space', 'full');
    },
  };
}

test('the target is untouched until commit, and then it is the new file', (t) => {
  const folder = scratch(t);
  const path = join(folder, 'db');
  writeFileSync(path, 'old');
  const calls: string[] = [];
  const disk = realDisk();
  const logging = new Proxy(disk, {
    get: (target, name: keyof Disk) => {
      const run = target[name] as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        calls.push(name);
        return run(...args);
      };
    },
  });
  const staged = new StagedFile(logging, path, { mode: 0o640 });
  staged.write(bytes('new'), 0);
  staged.write(bytes('er'), 3);
  assert.equal(readFileSync(path, 'utf8'), 'old');
  staged.seal();
  assert.equal(readFileSync(staged.temporary, 'utf8'), 'newer');
  assert.equal(readFileSync(path, 'utf8'), 'old');
  staged.commit();
  assert.equal(readFileSync(path, 'utf8'), 'newer');
  assert.equal(statSync(path).mode & 0o777, 0o640);
  staged.discard();
  assert.deepEqual(readdirSync(folder), ['db']);
  assert.deepEqual(calls, [
    'create',
    'setMode',
    'write',
    'write',
    'sync',
    'close',
    'rename',
    'syncDirectory',
  ]);
});

test('nothing is left after discard, sealed or not', (t) => {
  const folder = scratch(t);
  for (const isSealed of [false, true]) {
    const staged = new StagedFile(realDisk(), join(folder, 'db'));
    staged.write(bytes('new'), 0);
    if (isSealed) staged.seal();
    staged.discard();
    staged.discard();
    assert.deepEqual(readdirSync(folder), []);
  }
});

for (const operation of ['setMode', 'setOwner', 'write', 'sync', 'close', 'rename'] as const) {
  test(`when ${operation} fails, the old file stays and nothing else`, (t) => {
    const folder = scratch(t);
    const path = join(folder, 'db');
    writeFileSync(path, 'old');
    const disk = failing(operation);
    let staged: StagedFile | undefined;
    assert.throws(
      () => {
        staged = new StagedFile(disk, path, {
          mode: 0o600,
          owner: { uid: process.getuid!(), gid: process.getgid!() },
        });
        staged.write(bytes('new'), 0);
        staged.commit();
      },
      { code: 'io.no-space' },
    );
    staged?.discard();
    assert.deepEqual(readdirSync(folder), ['db']);
    assert.equal(readFileSync(path, 'utf8'), 'old');
  });
}

test('a new file takes no other file’s place, and keeps no second name', (t) => {
  const folder = scratch(t);
  const path = join(folder, 'db');
  const stage = (disk: Disk): StagedFile => {
    const staged = new StagedFile(disk, path);
    staged.write(bytes('new'), 0);
    return staged;
  };
  stage(realDisk()).commitNew();
  assert.equal(readFileSync(path, 'utf8'), 'new');
  assert.deepEqual(readdirSync(folder), ['db']);

  writeFileSync(path, 'of somebody else');
  // A disk without hard links has to look instead.
  for (const disk of [realDisk(), failing('link')]) {
    const staged = stage(disk);
    assert.throws(() => staged.commitNew(), ToolError);
    staged.discard();
    assert.equal(readFileSync(path, 'utf8'), 'of somebody else');
    assert.deepEqual(readdirSync(folder), ['db']);
  }
  removeTree(realDisk(), path);
  stage(failing('link')).commitNew();
  assert.equal(readFileSync(path, 'utf8'), 'new');
  assert.deepEqual(readdirSync(folder), ['db']);
});

test('a temporary file lies beside its target, hidden, and under a name of its own', (t) => {
  const path = join(scratch(t), 'db');
  const names = new Set(Array.from({ length: 50 }, () => temporaryPath(path)));
  assert.equal(names.size, 50);
  for (const name of names) {
    assert.equal(dirname(name), dirname(path));
    assert.match(name, /\/\.db\.etcdkit-\d+-[\da-f]{8}$/);
  }
  const there = [...names][0]!;
  writeFileSync(there, 'mine');
  assert.throws(() => new StagedFile(realDisk(), path, { temporary: there }), { code: 'io.exists' });
  assert.equal(readFileSync(there, 'utf8'), 'mine');
});

test('a tree is removed with all that is in it, but not what its links point to', (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'tree', 'a', 'b'), { recursive: true });
  writeFileSync(join(folder, 'tree', 'a', 'file'), '');
  writeFileSync(join(folder, 'kept'), 'kept');
  symlinkSync(join(folder, 'kept'), join(folder, 'tree', 'link'));
  symlinkSync(join(folder, 'nowhere'), join(folder, 'tree', 'dangling'));
  removeTree(realDisk(), join(folder, 'tree'));
  assert.deepEqual(readdirSync(folder), ['kept']);
  removeTree(realDisk(), join(folder, 'tree'));
  removeTree(realDisk(), join(folder, 'kept'));
  assert.equal(existsSync(join(folder, 'kept')), false);
});

test('every directory of a tree is synced, the deepest first', (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'a', 'b'), { recursive: true });
  writeFileSync(join(folder, 'a', 'file'), '');
  const synced: string[] = [];
  syncTree({ ...realDisk(), syncDirectory: (path) => void synced.push(path) }, folder);
  assert.deepEqual(synced, [join(folder, 'a', 'b'), join(folder, 'a'), folder]);
});
