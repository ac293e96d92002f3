/** `snapshot verify`: every path given, one report each. */
import type { Finding } from '../../errors.ts';
import type { Layer, VerifyReport } from '../../check/report.ts';
import { verify } from '../../check/verify.ts';
import type { Context } from '../context.ts';

export interface VerifySnapshotOptions {
  layers?: readonly Layer[] | undefined;
  isQuick?: boolean;
  walDir?: string | undefined;
  /** Told of each finding of a quiet file before its report is whole. */
  onFinding?: (path: string, finding: Finding & { layer: Layer }) => void;
}

/** Checks one backup, database or directory; what is wrong with it is in the report, not thrown. */
export async function verifySnapshot(
  path: string,
  options: VerifySnapshotOptions,
  context: Context,
): Promise<VerifyReport> {
  return verify(path, {
    layers: options.layers,
    isQuick: options.isQuick ?? false,
    walDir: options.walDir,
    signal: context.signal,
    progress: context.progress?.(`verifying ${path}`),
    ...(options.onFinding ? { onFinding: (finding) => options.onFinding?.(path, finding) } : {}),
  });
}
