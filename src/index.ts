/** The library: the functions that the commands call, and the types they take and give. */
export { CODES, CorruptError, RefusedError, ToolError, UnsupportedError, UsageError } from './errors.ts';
export type { ErrorCode, Finding, Severity, Where } from './errors.ts';
export type { Layer, VerifyReport, Verdict } from './check/report.ts';
export { plainContext, type Context, type Log } from './ops/context.ts';
export { snapshotStatus, type StatusReport } from './ops/snapshot/status.ts';
export { verifySnapshot, type VerifySnapshotOptions } from './ops/snapshot/verify.ts';
export { hashKV, type HashKVOptions, type HashKVReport } from './ops/inspect/hashkv.ts';
export { defragment, type DefragOptions, type DefragReport, type DefragTarget } from './ops/upkeep/defrag.ts';
export { saveSnapshot, type SaveOptions, type SaveReport } from './ops/snapshot/save.ts';
export { fetchSnapshot, type FetchOptions, type FetchReport } from './ops/snapshot/fetch.ts';
export { restoreSnapshot, type RestoreOptions, type RestoreReport } from './ops/snapshot/restore.ts';
export { migrate, type MigrateOptions, type MigrateReport } from './ops/upkeep/migrate.ts';
export { checkV2Store, type V2StoreOptions, type V2StoreReport } from './ops/upkeep/v2store.ts';
export { drill, type DrillReport } from './ops/drill.ts';
