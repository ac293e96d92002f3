/** What the operating system said, as a `ToolError` whose text is the one scripts know from Go's `os` package. */
import { type ErrorCode, ToolError } from '../errors.ts';

const KNOWN: Record<string, { code: ErrorCode; text: string; hint?: string }> = {
  ENOENT: { code: 'io.not-found', text: 'no such file or directory' },
  EACCES: {
    code: 'io.permission',
    text: 'permission denied',
    hint: 'run as the user that owns the file, or as root',
  },
  EPERM: { code: 'io.permission', text: 'operation not permitted' },
  EEXIST: { code: 'io.exists', text: 'file exists', hint: 'give a path that does not exist yet' },
  EISDIR: { code: 'io.not-a-file', text: 'is a directory' },
  ENOTDIR: { code: 'io.not-a-directory', text: 'not a directory' },
  ENOSPC: {
    code: 'io.no-space',
    text: 'no space left on device',
    hint: 'free space, or write to another disk',
  },
  EDQUOT: { code: 'io.no-space', text: 'disk quota exceeded' },
  EROFS: { code: 'io.permission', text: 'read-only file system' },
  EIO: {
    code: 'io.failed',
    text: 'input/output error',
    hint: 'the disk itself fails: copy what is readable first',
  },
};

/** `operation` in Go's words: open, read, write, stat, rename. */
export function ioError(error: unknown, at: { operation: string; path: string }): ToolError {
  if (error instanceof ToolError) return error;
  const system = error as NodeJS.ErrnoException;
  const known = KNOWN[system.code ?? ''];
  const text = known?.text ?? system.message ?? String(error);
  return new ToolError(known?.code ?? 'io.failed', `${at.operation} ${at.path}: ${text}`, {
    where: { file: at.path },
    cause: error,
    ...(known?.hint ? { hint: known.hint } : {}),
  });
}
