/** A request that changes nothing, as servers answer it: no defect of ours, and no damage. */
import { ToolError } from '../../errors.ts';

/** Refuses a request with the text that etcd's clients know. */
export function rejected(text: string): ToolError {
  return new ToolError('apply.rejected', text);
}

/** What applying throws for requests that have no effect. */
export function isRejection(error: unknown): error is ToolError {
  return (
    error instanceof ToolError &&
    (error.code === 'apply.rejected' || error.code === 'mvcc.compacted' || error.code === 'mvcc.future')
  );
}
