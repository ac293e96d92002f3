/** `hashkv`: the hash that members of a cluster compare, from a file. */
import { hashKV, type HashKVReport } from '../../ops/inspect/hashkv.ts';
import type { Call } from '../call.ts';
import { choosePrinter } from '../print/printer.ts';
import type { Report } from '../print/report.ts';

export async function hashkv(call: Call<'rev'>): Promise<void> {
  const print = choosePrinter(call);
  const report = await hashKV(call.operands[0]!, { revision: call.flags.rev }, await call.context());
  print(describeHash(report));
}

function describeHash({ hash, hashRevision, compactRevision }: HashKVReport): Report {
  return {
    entries: [
      [
        { json: 'hash', field: 'Hash', column: 'hash', value: hash },
        { json: 'hashRevision', field: 'Hash revision', column: 'hash revision', value: hashRevision },
        {
          json: 'compactRevision',
          field: 'Compact revision',
          column: 'compact revision',
          value: compactRevision,
        },
      ],
    ],
  };
}
