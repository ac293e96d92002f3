/** What a command file is given, and what it may answer. */
import type { Context } from '../ops/context.ts';
import type { Ending } from './exit.ts';
import type { FlagName, FlagValues, GlobalFlag } from './flags.ts';
import type { Style } from './style.ts';

export interface Call<F extends FlagName = never> {
  /** Arguments that are no flags; their number has been checked. */
  operands: readonly string[];
  flags: Pick<FlagValues, F | GlobalFlag>;
  /** Texts of the flags that were given, by name; of one given twice the last. */
  given: ReadonlyMap<string, string>;
  environment: Readonly<Record<string, string | undefined>>;
  style: Style;
  /** Logger, disk, signal and progress; made when first asked for. */
  context(): Promise<Context>;
}

/** One command: options from the call, one operation, a printer. Errors are thrown; no answer means `good`. */
export type Command<F extends FlagName = never> = (call: Call<F>) => Promise<Ending | void>;
