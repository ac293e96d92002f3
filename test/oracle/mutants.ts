/**
 * Our server with one line of it changed for the worse: a copy of the compiled sources in a folder of its own. A
 * test that a mutant passes does not look where the line is.
 */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../support/project.ts';
import { OracleError } from './cache.ts';
import type { ServerProgram } from './server.ts';
import { subjectProgram } from './subject.ts';

/** One change of one compiled file. */
export interface Mutant {
  /** What is wrong with the server then. */
  readonly name: string;
  /** Below `dist/src`. */
  readonly file: string;
  /** Stands there exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** The text with the change made. Throws unless there is one place for it, and it changes something. */
export function mutated(text: string, { name, file, find, replace }: Mutant): string {
  const count = text.split(find).length - 1;
  if (count !== 1) throw new OracleError(`mutant "${name}": ${file} holds its text ${count} times, not once`);
  const changed = text.replace(find, () => replace);
  if (changed === text) throw new OracleError(`mutant "${name}" changes nothing`);
  return changed;
}

/** The compiled text that a mutant changes. */
export function compiledText({ file }: Pick<Mutant, 'file'>): string {
  return readFileSync(join(projectRoot(), 'dist', 'src', file), 'utf8');
}

/** Makes the copy with the change in a folder that is not there yet, and returns how it is started. */
export function mutantProgram(folder: string, mutant: Mutant): ServerProgram {
  mkdirSync(folder, { recursive: true });
  const root = projectRoot();
  cpSync(join(root, 'dist', 'src'), join(folder, 'src'), { recursive: true });
  // What is compiled are modules, and looks for its packages in the folders above it.
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const target = join(folder, 'src', mutant.file);
  writeFileSync(target, mutated(readFileSync(target, 'utf8'), mutant));
  return {
    ...subjectProgram(),
    label: `etcdkit serve, mutant "${mutant.name}"`,
    file: process.execPath,
    args: [join(folder, 'src', 'cli', 'main.js'), 'serve'],
  };
}
