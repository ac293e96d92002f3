/** `etcdkit serve --snapshot` as a process of its own, for etcd's clients. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { projectRoot } from '../support/project.ts';
import { OracleError } from './cache.ts';
import type { Target } from './etcd.ts';

const ANY_PORT = 'http://127.0.0.1:0';

/** A mount that listens; its keys may not be known yet. */
export interface MountProcess extends Target {
  readonly pid: number;
  /** SIGTERM, then waits until the process is gone; gives its exit code. */
  stop(): Promise<number | null>;
}

export async function startMountProcess(path: string, args: readonly string[] = []): Promise<MountProcess> {
  const program = join(projectRoot(), 'bin', 'etcdkit.js');
  const listen = [`--listen-client-urls=${ANY_PORT}`, `--advertise-client-urls=${ANY_PORT}`];
  const child = spawn(process.execPath, [program, 'serve', `--snapshot=${path}`, ...listen, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = new Promise<number | null>((resolve) => {
    child.on('exit', (code) => resolve(code));
  });
  const endpoint = `http://${await addressFrom(child)}`;
  return {
    version: '3.6',
    endpoint,
    pid: child.pid!,
    async stop() {
      child.kill();
      return exited;
    },
  };
}

/** The address in the line that says who is served. What comes behind it is read and dropped. */
function addressFrom(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines: string[] = [];
    createInterface(child.stderr!)
      .on('line', (line) => {
        lines.push(line);
        const address = /"address":"([^"]+)"/.exec(line)?.[1];
        if (address !== undefined) resolve(address);
      })
      .on('close', () => reject(new OracleError(`it did not listen: ${lines.join('\n')}`)));
  });
}
