/**
 * A process that runs one case and dies of it: `node victim.js JOB`, the job as JSON. On descriptor 3 it says how
 * far it got: `go` once all is loaded, each file operation before it begins, `done` and the milliseconds it took.
 */
import { writeSync } from 'node:fs';
import { basename } from 'node:path';
import { plainContext } from '../../src/ops/context.ts';
import { type DiskCall, type Fault, faultyDisk } from '../support/faulty-disk.ts';
import { CASES } from './cases.ts';
import { LARGE_CASES } from './large.ts';

export interface Job {
  /** Name of the case. */
  case: string;
  root: string;
  fault?: Fault;
}

const TRACE = 3;

const say = (text: string): void => void writeSync(TRACE, `${text}\n`);

const job = JSON.parse(process.argv[2]!) as Job;
const found = [...CASES, ...LARGE_CASES].find(({ name }) => name === job.case)!;
const onCall = ({ operation, path, to }: DiskCall): void => say(`${operation} ${basename(to ?? path)}`);
// Only without a fault may writes go on in the background: a fault needs to know which write is which.
const disk = faultyDisk(job.fault, { onCall, isOrdered: job.fault !== undefined });
say('go');
const began = performance.now();
await found.run(job.root, plainContext({ disk }));
say(`done ${performance.now() - began}`);
