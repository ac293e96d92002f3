/** A database file checked in full, and all that it holds. */
import assert from 'node:assert/strict';
import { openFile, type Source } from '../../src/bytes/source.ts';
import type { Finding } from '../../src/errors.ts';
import { readBolt } from './bolt-spec.ts';

/** Rows by bucket; names, keys and values in latin1. */
export type Content = Map<string, Map<string, string>>;

type IsAllowed = (finding: Finding) => boolean;

/** Fails when the check finds anything that is not allowed. Empty buckets are left out. */
export function contentOfSource(source: Source, isAllowed: IsAllowed = () => false): Content {
  const { findings, buckets } = readBolt(source);
  assert.deepEqual(
    findings.filter((finding) => !isAllowed(finding)),
    [],
  );
  const filled = [...buckets].filter(([, { pairs }]) => pairs.size > 0);
  return new Map(filled.map(([name, { pairs }]) => [name, pairs]));
}

/** Of the file at `path`. */
export function contentOfFile(path: string, isAllowed?: IsAllowed): Content {
  const source = openFile(path);
  try {
    return contentOfSource(source, isAllowed);
  } finally {
    source.close();
  }
}

/** A copy without empty buckets, that later changes leave alone. */
export function copyOf(content: Content): Content {
  const filled = [...content].filter(([, rows]) => rows.size > 0);
  return new Map(filled.map(([name, rows]) => [name, new Map(rows)]));
}
