/**
 * The error classes, findings, and the table of codes. Imports nothing.
 *
 * Damage that a check was asked to look for is a {@link Finding}; not being able to do the work is a
 * {@link ToolError}. Callers branch on the five classes; everything finer is the `code`, which is stable.
 */

/** Every code this build can report, with what it means. Scripts may rely on the left column. */
export const CODES = {
  usage: 'flags or arguments do not fit',
  'usage.command': 'there is no such command',
  'usage.arguments': 'a command was given too few or too many arguments, or ones that contradict each other',
  'usage.format': 'there is no such output format',
  interrupted: 'stopped by a signal',
  unexpected: 'a defect in etcdkit itself',

  'io.not-found': 'no such file or directory',
  'io.exists': 'a file of that name is there already',
  'io.permission': 'the operating system denied access',
  'io.not-a-file': 'a regular file was expected',
  'io.not-a-directory': 'a directory was expected',
  'io.no-space': 'the disk is full',
  'io.short-read': 'the file ended before the bytes that were asked for, or shrank while it was read',
  'io.failed': 'the operating system reported an error',

  'bytes.truncated': 'a value ends beyond its container',
  'bytes.varint': 'a variable-length integer is malformed',
  'bytes.range': 'a 64-bit number is larger than any real file can hold',

  'lock.held': 'another process holds the lock on the database or the log',
  'lock.unavailable': 'this host offers no way to lock a file',

  'kind.unknown': 'the path is nothing that etcd writes',
  'kind.empty': 'the file is empty',

  'bolt.meta.invalid': 'a meta page does not carry the bbolt magic',
  'bolt.meta.version': 'a meta page has an unknown bbolt version',
  'bolt.meta.checksum': 'a meta page does not match its checksum',
  'bolt.meta.field': 'a meta page holds an impossible value',
  'bolt.meta.none': 'neither meta page is valid',
  'bolt.big-endian': 'the file was written on a big-endian machine',
  'bolt.page-size': 'the page size is not one that bbolt uses',
  'bolt.page.bounds': 'a page lies outside the file or the high-water mark',
  'bolt.page.id': 'a page does not carry its own number',
  'bolt.page.flags': 'a page is of an unexpected type',
  'bolt.page.overflow': 'a page owns more or fewer pages than its content needs',
  'bolt.page.element': 'an element of a page points outside it or leaves a gap',
  'bolt.page.order': 'keys are not in ascending order',
  'bolt.page.ancestor': 'a key lies outside the range its parent gives',
  'bolt.page.double-use': 'a page is referenced twice',
  'bolt.page.unreachable': 'a page is neither reachable nor free',
  'bolt.page.freed': 'a reachable page is in the freelist',
  'bolt.page.depth': 'the tree is deeper than any real one',
  'bolt.freelist': 'the freelist is malformed',
  'bolt.bucket': 'a bucket header is malformed',
  'bolt.key': 'a key or value is larger than bbolt allows',
  'bolt.not-found': 'a bucket does not exist',

  'backup.digest': 'the SHA-256 trailer does not match the content',
  'backup.digest-missing': 'the file carries no SHA-256 trailer',
  'backup.size': 'the file is shorter or longer than its metas say',
  'apply.rejected': 'a request in the log that servers refused, and that changed nothing',
  'apply.password': 'a plain password in the log, from which every member made another text',
  'apply.confchange': 'a change of the membership that no etcd writes',
  'backup.short': 'the server stopped before the backup was whole',
  'backup.changing': 'the database changed while it was read',

  'proto.malformed': 'a message does not decode',
  'json.malformed': 'a JSON value does not parse, or is not of the expected shape',
  'wal.name': 'a file name in the log directory is not one etcd writes',
  'wal.sequence': 'the log misses a segment',
  'wal.record.length': 'a record is longer than the rest of its file',
  'wal.record.crc': 'a record does not match its checksum',
  'wal.record.type': 'a record is of an unknown type',
  'wal.record.malformed': 'a record does not decode',
  'wal.record.padding': 'the padding of a record is not zero',
  'wal.metadata': 'the log carries no metadata, or two that differ',
  'wal.entry.gap': 'the log misses entries',
  'wal.entry.term': 'an entry carries a lower term than the one before it',
  'wal.snapshot.missing': 'the log holds no record of the snapshot to start from',
  'wal.snapshot.mismatch': 'a snapshot record contradicts another',
  'wal.torn': 'the last write of the log is incomplete',
  'snap.name': 'a snapshot file is not named by its term and index',
  'snap.crc': 'a snapshot file does not match its checksum',
  'snap.empty': 'a snapshot file is empty',
  'snap.malformed': 'a snapshot file does not decode',
  'snap.orphan': 'a snapshot file has no record in the log',
  'snap.content': 'a snapshot file contradicts the database or the log',

  'mvcc.revision-key': 'a revision key is malformed',
  'mvcc.value': 'the value of a revision does not decode',
  'mvcc.mod-revision': 'a value names another revision than its key',
  'mvcc.history': 'create revision or version contradict the history of the key',
  'mvcc.gap': 'revisions are missing',
  'mvcc.tombstone': 'a tombstone is malformed or deletes nothing',
  'mvcc.lease': 'a key names a lease that does not exist',
  'mvcc.compaction': 'the marks of compaction contradict each other or the records',
  'mvcc.bump': 'the database was restored with bumped revisions',
  'mvcc.compacted': 'the revision has been compacted',
  'mvcc.future': 'the revision is in the future',

  'schema.bucket': 'a bucket that every etcd creates is missing',
  'schema.meta': 'a field of the meta bucket is missing or malformed',
  'schema.version': 'the storage version is unknown or contradictory',
  'schema.membership': 'the membership rows are malformed or contradictory',
  'schema.conf-state': 'the stored confState does not list the members',
  'schema.lease': 'a lease row is malformed',
  'schema.auth': 'a row of users, roles or auth settings is malformed',
  'schema.alarm': 'an alarm is active',
  'schema.cluster-version': 'the cluster version is missing or malformed',
  'schema.downgrade': 'a downgrade is in progress',
  'log.database-behind': 'the database does not reach the snapshot the log starts from',
  'log.leftover': 'a file was left behind by an interrupted run',
  'log.start': 'a server could not start from this directory',
  'log.tail': 'the log ends in a way that loses or hides entries',

  'rpc.status': 'a call over the API ended with a status',
  'server.listen': 'an address to listen on cannot be had',
  'backend.failed': 'an earlier write to the database failed, so nobody knows what the disk holds',
  'server.config':
    'the configuration of the server contradicts itself, or asks for what one member cannot be',
  'server.tls': 'a list of revoked certificates cannot be read',
  'server.cluster': 'the directory is that of a member of a larger cluster',
  'server.auth': 'authentication is enabled, and cannot be enforced',
  'server.password': 'a password that bcrypt does not take',
  'server.token': 'no token can be made for a user who has logged in',
  'server.stopped': 'the server has stopped taking requests',
  'server.log': 'the log of the server could not be written',

  'restore.target-exists': 'the target exists and is not empty',
  'restore.membership': 'the cluster configuration contradicts itself',
  'restore.space': 'not enough free space for the result',
  'defrag.failed': 'the rewritten database is not equal to the original',
  'migrate.unsupported': 'this migration is not possible',
  'migrate.failed': 'the migrated files do not read back as they were written',
  'migrate.blocked': 'the target server would not start from the result',
  'v2store.custom-content': 'the v2 store holds content that newer servers refuse',
} as const;

/** A stable, dotted name for one kind of error or finding. */
export type ErrorCode = keyof typeof CODES;

/** Where something is: a file, a byte offset in it, and the smallest unit that has a number there. */
export interface Where {
  file?: string;
  /** Byte offset from the start of `file`. */
  offset?: number;
  /** `page 7`, `record 42`. */
  unit?: string;
  /** Bucket, key or field, readable. */
  field?: string;
}

interface ToolErrorOptions {
  where?: Where;
  /** What the operator can do next. */
  hint?: string;
  cause?: unknown;
  /** Exact text to print under `--compat`, where upstream's wording differs. */
  upstream?: string;
}

/** Base of everything that etcdkit throws on purpose. */
export class ToolError extends Error {
  readonly code: ErrorCode;
  readonly where?: Where;
  readonly hint?: string;
  readonly upstream?: string;

  constructor(code: ErrorCode, message: string, options: ToolErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    if (options.where) this.where = options.where;
    if (options.hint) this.hint = options.hint;
    if (options.upstream) this.upstream = options.upstream;
  }
}

/** Bytes contradict the format. */
export class CorruptError extends ToolError {}
/** Flags or arguments. */
export class UsageError extends ToolError {}
/** Going on would overwrite, or touch what a live etcd holds, or lose data. */
export class RefusedError extends ToolError {}
/** A version or feature this build does not know. */
export class UnsupportedError extends ToolError {}

/** `fatal`: the data cannot be used · `lossy`: something is lost or wrong · `note`: worth knowing. */
export type Severity = 'fatal' | 'lossy' | 'note';

/** One thing a check found. */
export interface Finding {
  code: ErrorCode;
  severity: Severity;
  where: Where;
  message: string;
  hint?: string;
}

/** Takes findings as they are made; checks stream them and never collect. */
export type FindingSink = (finding: Finding) => void;

/** The finding that says what a strict reader's error said. */
export function findingOf(error: ToolError, severity: Severity = 'lossy'): Finding {
  return {
    code: error.code,
    severity,
    where: error.where ?? {},
    message: error.message,
    ...(error.hint ? { hint: error.hint } : {}),
  };
}

/** `file, page 7, offset 28672`, for messages. */
export function describeWhere(where: Where): string {
  const parts = [where.file, where.unit, where.field].filter((part) => part !== undefined);
  if (where.offset !== undefined) parts.push(`offset ${where.offset}`);
  return parts.join(', ');
}
