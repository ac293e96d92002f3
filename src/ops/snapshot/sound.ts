/** The last question to a backup before it gets its name: does every layer of it hold? */
import { CorruptError } from '../../errors.ts';
import type { VerifyReport } from '../../check/report.ts';
import { verify } from '../../check/verify.ts';
import type { Context } from '../context.ts';

/** Verifies in full. Throws the first damage as a `CorruptError`; notes pass. */
export async function assertSound(path: string, { signal, progress }: Context): Promise<VerifyReport> {
  const report = await verify(path, { signal, progress: progress?.('verifying the backup') });
  const damage = report.findings.find(({ severity }) => severity !== 'note');
  if (!damage) return report;
  throw new CorruptError(damage.code, `the backup would be ${report.verdict}: ${damage.message}`, {
    where: damage.where,
  });
}
