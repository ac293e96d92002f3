/** The bundle on a host where no package could be installed: the native ones neither, which are optional. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { buildDatabase, put, sealed } from '../store/database-builder.ts';
import { fixture } from '../support/fixtures.ts';
import { projectRoot } from '../support/project.ts';
import { scratch } from '../support/scratch.ts';

const run = promisify(execFile);
const ROOT = projectRoot();
const INSTALLED = join(ROOT, 'bin', 'etcdkit.js');

interface Outcome {
  stdout: string;
  stderr: string;
  code: number;
}

async function outcomeOf(script: string, args: readonly string[]): Promise<Outcome> {
  const { ETCDKIT_COMPAT: _, NODE_PATH: __, ...env } = process.env;
  try {
    return { ...(await run(process.execPath, [script, ...args], { env })), code: 0 };
  } catch (error) {
    return error as Outcome;
  }
}

describe('the command without node_modules', () => {
  const folder = scratch({ after });
  const bare = join(folder, 'main.js');
  before(() => {
    assert.ok(existsSync(join(ROOT, 'dist', 'bundle', 'main.js')), 'the bundle is there: node build.mjs');
    cpSync(join(ROOT, 'dist', 'bundle'), folder, { recursive: true });
    // As package.json says of the folder that the bundle is in.
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  });

  for (const name of ['@node-rs/crc32', 'crc-32', 'yargs', 'pino']) {
    test(`${name} is not to be had there`, () => {
      assert.throws(() => createRequire(bare).resolve(name), { code: 'MODULE_NOT_FOUND' });
    });
  }

  const snap = fixture('snap/snap-3.6.db');
  const commands: Array<[args: string[], code: number]> = [
    [['snapshot', 'status', snap], 0],
    [['snapshot', 'status', snap, '-w', 'json'], 0],
    [['snapshot', 'status', snap, '-w', 'table', '--compat', '3.5'], 0],
    [['hashkv', snap, '-w', 'fields'], 0],
    [['snapshot', 'verify', snap, '--quick'], 0],
    [['snapshot', 'status', '/nonexistent/file'], 1],
    [['no-such-command'], 2],
    [['version'], 0],
    [['--help'], 0],
  ];
  for (const [args, code] of commands) {
    test(`${args.map((arg) => (arg === snap ? 'FILE' : arg)).join(' ')}: the same output, exit ${code}`, async () => {
      const [here, there] = [await outcomeOf(INSTALLED, args), await outcomeOf(bare, args)];
      assert.deepEqual([there.code, there.stdout, there.stderr], [here.code, here.stdout, here.stderr]);
      assert.equal(there.code, code, there.stderr);
      assert.ok(there.stdout.length + there.stderr.length > 0);
    });
  }

  test('a file that is long enough for a worker to hash it', async (t) => {
    const database = Buffer.concat([buildDatabase({ records: [put(2, 'a')] }), Buffer.alloc(17 << 20)]);
    const path = join(scratch(t), 'long.db');
    const args = ['snapshot', 'status', path, '-w', 'json'];
    writeFileSync(path, sealed(database));
    const good = await outcomeOf(bare, args);
    assert.deepEqual([good.code, JSON.parse(good.stdout).totalKey], [0, 1], good.stderr);
    writeFileSync(path, sealed(database).fill(0, -1));
    const bad = await outcomeOf(bare, args);
    assert.notEqual(bad.code, 0);
    assert.match(bad.stderr, /SHA-256/);
  });
});
