/** Whether a file is still the one that was read: cheap enough to ask at every connection. */
import { readFileSync, statSync } from 'node:fs';
import { UsageError } from '../../errors.ts';

/** Differs once the file was written to, replaced, or a link to it was; the same for a file that is not there. */
export function stampOf(path: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unreadable';
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EISDIR: 'is a directory',
  ENOTDIR: 'not a directory',
};

/** The content. Throws `server.config` in Go's words. */
export function readConfigured(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const { code = '', message } = cause as NodeJS.ErrnoException;
    const operation = code === 'EISDIR' ? 'read' : 'open';
    throw new UsageError('server.config', `${operation} ${path}: ${REASONS[code] ?? message}`, { cause });
  }
}
