/**
 * How long a mount of the large backup takes to listen and to answer, how fast its keys are read, and what they cost in
 * memory: `node dist/test/bench/mount.js [FILE]`. Without a file it is the 900 MB one that real etcd made.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Channel } from '../../src/client/channel.ts';
import { rangeResponse } from '../../src/format/proto/kvpb.ts';
import { rangeRequest } from '../../src/format/proto/rpcpb.ts';
import { projectRoot } from '../support/project.ts';
import { memory } from './server-process.ts';
import { backupOf } from './server-start.ts';

const MEGABYTES = 900;
const ROUNDS = 3;

interface Round {
  listensSeconds: number;
  answersSeconds: number;
  keys: number;
  residentBytes: number;
}

/** The address in the line that says who is served. */
async function addressFrom(child: ChildProcess): Promise<string> {
  for await (const line of createInterface(child.stderr!)) {
    const { address } = JSON.parse(line) as { address?: string };
    if (address !== undefined) return address;
  }
  throw new Error('it did not listen');
}

async function measureMount(path: string): Promise<Round> {
  const program = join(projectRoot(), 'bin', 'etcdkit.js');
  const listen = 'http://127.0.0.1:0';
  const args = [
    program,
    'serve',
    `--snapshot=${path}`,
    `--listen-client-urls=${listen}`,
    `--advertise-client-urls=${listen}`,
  ];
  const began = performance.now();
  const since = (): number => (performance.now() - began) / 1000;
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    const endpoint = await addressFrom(child);
    child.stderr!.on('data', () => {});
    const listensSeconds = since();
    const channel = await Channel.connect(endpoint);
    const request = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0), countOnly: true };
    const reply = await channel.unary('/etcdserverpb.KV/Range', rangeRequest.encode(request));
    const answersSeconds = since();
    await channel.close();
    const keys = rangeResponse.decode(reply).count;
    return { listensSeconds, answersSeconds, keys, residentBytes: memory(child.pid!).residentBytes };
  } finally {
    child.kill();
  }
}

const path = process.argv[2] ?? (await backupOf(MEGABYTES));
readFileSync(path); // so that it comes from memory
const { size } = statSync(path);
for (let round = 0; round < ROUNDS; round++) {
  const { listensSeconds, answersSeconds, keys, residentBytes } = await measureMount(path);
  const rate = size / 1e9 / (answersSeconds - listensSeconds);
  process.stdout.write(
    `listens after ${listensSeconds.toFixed(2)} s, answers after ${answersSeconds.toFixed(2)} s: ` +
      `${rate.toFixed(2)} GB/s; ${keys} keys, ${(residentBytes / 1e6).toFixed(0)} MB resident\n`,
  );
}
