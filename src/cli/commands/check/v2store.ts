/** `check v2store`: whether a member could be upgraded to 3.6, as far as data of the v2 API goes. */
import { ToolError } from '../../../errors.ts';
import { checkV2Store, type V2StoreReport } from '../../../ops/upkeep/v2store.ts';
import type { Call } from '../../call.ts';
import { writeOut } from '../../output.ts';
import { choosePrinter } from '../../print/printer.ts';

export async function v2store(call: Call<'data-dir' | 'wal-dir'>): Promise<void> {
  const print = choosePrinter(call);
  const { flags } = call;
  const options = { dataDir: flags['data-dir'] ?? '', walDir: flags['wal-dir'] };
  const report = await checkV2Store(options, await call.context());
  const { storePaths, requestCount } = report;
  if (storePaths.length > 0 || requestCount > 0) throw foundError(report, options.dataDir);

  // etcdutl has this one sentence, whatever the format.
  if (call.style.compat || flags['write-out'] === 'simple') {
    writeOut('No custom content found in both v2store and WAL records.\n');
    return;
  }
  print({
    entries: [
      [
        { json: 'snap', field: 'Snap', column: 'snap', value: report.snap ?? '' },
        { json: 'storePaths', field: 'Store paths', column: 'store paths', value: storePaths.length },
        { json: 'requests', field: 'Requests', column: 'requests', value: requestCount },
      ],
    ],
  });
}

function foundError(
  { snap, storePaths, requestCount, firstRequest }: V2StoreReport,
  dataDir: string,
): ToolError {
  const isInStore = storePaths.length > 0;
  const isInLog = requestCount > 0;
  const text = isInStore
    ? `detected custom ${isInLog ? 'v2 content in both v2store and WAL records' : 'content in v2store'}`
    : 'detected custom v2 content in WAL records';
  const hints: string[] = [];
  if (isInStore)
    hints.push(
      `${snap} holds ${storePaths.join(', ')}: save what is needed with an etcdctl of 3.5, then delete it`,
    );
  if (isInLog) {
    hints.push(
      `the log holds ${requestCount} such requests, the first is ${firstRequest}: a new .snap file puts them out of the way`,
    );
  }
  return new ToolError('v2store.custom-content', text, { where: { file: dataDir }, hint: hints.join('\n') });
}
