/**
 * Whose manners the program has: its own, or those of one version of etcdutl. A flag wins over the environment,
 * and the environment over the name the program was called by.
 */
import { UsageError } from '../errors.ts';
import { FLAGS, flagText } from './flags.ts';

export type Compat = '3.5' | '3.6' | '3.7';

export interface Style {
  /** Set when output, texts and exit codes are to be etcdutl's of that version. */
  compat?: Compat;
  /** The version whose columns and tables are printed; natively 3.6's. */
  shapes: Compat;
  /** The name in usage lines and upstream's texts. */
  program: 'etcdkit' | 'etcdutl';
}

/** The environment variable for scripts that cannot add a flag. */
export const COMPAT_VARIABLE = 'ETCDKIT_COMPAT';

/** What etcdutl calls itself in the versions whose output is matched. */
export const UPSTREAM_VERSIONS: Record<Compat, string> = { '3.5': '3.5.35', '3.6': '3.6.16', '3.7': '3.7.3' };

export interface Surroundings {
  /** Path the program was started by; a link named `etcdutl` turns compat on. */
  programPath: string;
  /** Value of {@link COMPAT_VARIABLE}. */
  variable?: string | undefined;
  /** Value of the flag. */
  flag?: string | undefined;
}

export function styleOf(compat: Compat | undefined): Style {
  if (compat === undefined) return { shapes: '3.6', program: 'etcdkit' };
  return { compat, shapes: compat, program: 'etcdutl' };
}

/** Throws `usage` for a version that no etcdutl has. */
export function chooseStyle({ programPath, variable, flag }: Surroundings): Style {
  if (flag !== undefined) return styleOf(readCompat(flag, flagText('compat')));
  if (variable !== undefined && variable !== '') return styleOf(readCompat(variable, COMPAT_VARIABLE));
  const name = programPath.slice(Math.max(programPath.lastIndexOf('/'), programPath.lastIndexOf('\\')) + 1);
  return styleOf(/^etcdutl(\.[cm]?js)?$/.test(name) ? '3.6' : undefined);
}

function readCompat(value: string, from: string): Compat | undefined {
  if (value === 'off') return undefined;
  const versions: readonly string[] = FLAGS.compat.words;
  if (!versions.includes(value)) {
    throw new UsageError('usage', `${from} takes ${versions.join(', ')}, not ${JSON.stringify(value)}`);
  }
  return value as Compat;
}
