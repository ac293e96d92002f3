/** Which failures pass. */
import { ToolError } from '../errors.ts';

/** A disk that is full now may not be so later, and nothing of what was to be written counts. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof ToolError && error.code === 'io.no-space';
}
