/**
 * `drill`: a recovery rehearsed on a real backup, into a directory of its own. The backup is verified, shown to be
 * told from a damaged copy, restored into three members, and each of them is verified, defragmented and hashed.
 */
import { copyFileSync, existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { VerifyReport } from '../check/report.ts';
import { CorruptError, describeWhere, RefusedError, ToolError } from '../errors.ts';
import { formatId } from '../format/ids.ts';
import { openDatabase } from '../store/database.ts';
import { hashKV } from './inspect/hashkv.ts';
import { restoreSnapshot } from './snapshot/restore.ts';
import { verifySnapshot } from './snapshot/verify.ts';
import { defragment } from './upkeep/defrag.ts';
import type { Context } from './context.ts';

/** The three members a drill restores; nothing listens there. */
export const DRILL_CLUSTER = [
  'a=http://127.0.0.1:12380',
  'b=http://127.0.0.1:22380',
  'c=http://127.0.0.1:32380',
];
const DRILL_TOKEN = 'etcdkit-drill';

/** One thing that was done, and what came of it. */
export interface DrillStep {
  what: string;
  outcome: string;
  tookMs: number;
}

export interface DrillReport {
  directory: string;
  steps: DrillStep[];
}

/** Runs the drill on the backup at `path`. Throws at the first step that does not end as it must. */
export async function drill(
  path: string,
  options: { directory: string; onStep?: (step: DrillStep) => void },
  context: Context,
): Promise<DrillReport> {
  const { directory, onStep } = options;
  if (existsSync(directory)) {
    throw new RefusedError('restore.target-exists', `${directory} exists`, {
      hint: 'give a directory that does not exist yet',
    });
  }
  context.disk.makeDirectory(directory, 0o700);
  const steps: DrillStep[] = [];
  const step = async <T>(what: string, run: () => Promise<{ outcome: string; value: T }>): Promise<T> => {
    const began = performance.now();
    const { outcome, value } = await run();
    const done = { what, outcome, tookMs: performance.now() - began };
    steps.push(done);
    onStep?.(done);
    return value;
  };

  await step(`verify ${basename(path)}`, async () => ({
    outcome: describeGood(await verifySnapshot(path, {}, context)),
    value: undefined,
  }));
  await step('flip one bit in a copy, verify it', async () => ({
    outcome: await damageAndFind(path, directory, context),
    value: undefined,
  }));
  const hash = await step('hashkv of the backup', async () => {
    const report = await hashKV(path, { revision: 0 }, context);
    return { outcome: `${report.hash} at revision ${report.hashRevision}`, value: report };
  });
  const members = await step('restore into three members', async () => {
    const report = await restoreSnapshot(
      path,
      { target: { allMembers: directory }, initialCluster: DRILL_CLUSTER.join(','), token: DRILL_TOKEN },
      context,
    );
    const dirs = report.members.map(({ dataDir }) => dataDir).filter((dir) => dir !== undefined);
    return {
      outcome: `cluster ${formatId(report.clusterId)}: ${dirs.map((dir) => basename(dir)).join(', ')}`,
      value: dirs,
    };
  });
  for (const member of members) {
    const name = basename(member);
    await step(`verify ${name}`, async () => ({
      outcome: describeGood(await verifySnapshot(member, {}, context)),
      value: undefined,
    }));
    await step(`defrag ${name}`, async () => {
      const report = await defragment({ dataDir: member }, { timeoutMs: 1000 }, context);
      return {
        outcome: `${report.sizeBeforeBytes} → ${report.sizeAfterBytes} bytes, ${report.recordCount} records`,
        value: undefined,
      };
    });
    await step(`hashkv ${name}`, async () => {
      const report = await hashKV(member, { revision: hash.hashRevision }, context);
      if (report.hash !== hash.hash) {
        throw new ToolError('unexpected', `hashkv of ${name} is ${report.hash}, of the backup ${hash.hash}`);
      }
      return { outcome: `${report.hash}, the same as of the backup`, value: undefined };
    });
  }
  return { directory, steps };
}

function describeGood({ path, verdict, damageCount, findings, totalBytes }: VerifyReport): string {
  if (verdict === 'GOOD') return `GOOD, ${totalBytes} bytes accounted for`;
  if (verdict === 'GOOD with notes') return `GOOD with notes, ${totalBytes} bytes accounted for`;
  const first = findings[0];
  throw new CorruptError(
    first?.code ?? 'unexpected',
    `${path} is ${verdict} (${damageCount} findings): ${first?.message ?? ''}`,
    {
      hint: `etcdkit snapshot verify ${path}`,
    },
  );
}

/** Flips the lowest bit of a revision in the middle of a leaf, and gives what verify says of the copy. */
async function damageAndFind(path: string, directory: string, context: Context): Promise<string> {
  const offset = offsetOfRevision(path);
  const copy = join(directory, 'one-bit-flipped.db');
  copyFileSync(path, copy);
  const fd = context.disk.openForUpdate(copy);
  try {
    context.disk.write(fd, Uint8Array.of(byteAt(path, offset) ^ 1), offset);
  } finally {
    context.disk.close(fd);
  }
  const report = await verifySnapshot(copy, {}, context);
  const found = report.findings.find((finding) => finding.where.unit !== undefined);
  if (report.verdict !== 'DAMAGED' || !found) {
    throw new ToolError(
      'unexpected',
      `bit 0 of byte ${offset} was flipped, but verify says ${report.verdict}`,
    );
  }
  const { file: _, ...where } = found.where;
  return `DAMAGED: ${found.message} [${describeWhere(where)}]`;
}

function byteAt(path: string, offset: number): number {
  const database = openDatabase(path);
  try {
    const byte = new Uint8Array(1);
    database.source.readInto(offset, byte);
    return byte[0]!;
  } finally {
    database.close();
  }
}

/** Offset of the last byte of a main revision. */
function offsetOfRevision(path: string): number {
  const database = openDatabase(path);
  try {
    const { bolt } = database;
    const bucket = bolt.bucket('key');
    const leaf = bucket && bolt.leaves(bucket).next();
    if (!leaf || leaf.count === 0)
      throw new ToolError('schema.bucket', `${path} holds no keys to rehearse with`);
    return leaf.fileOffset(leaf.keyStart(leaf.count >> 1) + 7);
  } finally {
    database.close();
  }
}
