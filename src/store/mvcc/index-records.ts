/** Builds the index of keys from the records of bucket `key`: one pass, in which nothing is allocated for a record. */
import type { Pacer } from '../../bytes/pacer.ts';
import { CorruptError } from '../../errors.ts';
import type { BackendView } from '../backend/backend.ts';
import { KeyIndex, SUB_MAX } from './key-index.ts';
import { RecordView } from './record.ts';

const EMPTY_STORE_REVISION = 1;
/** Between two looks at the clock. */
const RECORDS_A_LOOK = 256;

export interface IndexedRecords {
  keys: KeyIndex;
  /** Main revision of the last record; 1 when there is none. */
  revision: number;
}

/** Of a store without records. */
export function indexNothing(): IndexedRecords {
  return { keys: new KeyIndex(), revision: EMPTY_STORE_REVISION };
}

/** Throws `CorruptError` for a record that is malformed. */
export async function indexRecords(backend: BackendView, pacer: Pacer): Promise<IndexedRecords> {
  const read = indexNothing();
  const record = new RecordView();
  let count = 0;
  for (const { key, value } of backend.scan('key')) {
    const problem = record.decodeRevision(key, 0, key.length) ?? record.decodeValue(value, 0, value.length);
    if (problem) throw malformed(problem);
    if (record.sub > SUB_MAX)
      throw malformed(`a sub revision is ${record.sub}, more changes than a transaction makes`);
    // The record of a bump has no key, and no server gives it to anybody; compactions know it as a key without a name.
    read.keys.add(record, value, record.keyStart, record.keyEnd);
    if (++count % RECORDS_A_LOOK === 0 && pacer.isDue()) await pacer.rest();
  }
  if (count > 0) read.revision = record.main;
  return read;
}

function malformed(problem: string): CorruptError {
  return new CorruptError('mvcc.value', problem, { where: { field: 'bucket key' } });
}
