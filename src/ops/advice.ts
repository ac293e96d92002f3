/** What an operation that met damage tells its caller: which file, and the command that tells all of it. */
import { CorruptError } from '../errors.ts';

/** The same damage, with verify of `path` as the next step. */
export function withVerify(error: CorruptError, path: string, cause: unknown): CorruptError {
  return new CorruptError(error.code, error.message, {
    ...(error.where ? { where: error.where } : {}),
    ...(error.upstream ? { upstream: error.upstream } : {}),
    hint: `etcdkit snapshot verify ${path}`,
    ...(cause === error ? {} : { cause }),
  });
}

/** Damage that gives no next step of its own gets this one; anything else stays as it is. */
export function advised(error: unknown, path: string): unknown {
  return error instanceof CorruptError && !error.hint ? withVerify(error, path, error.cause) : error;
}
