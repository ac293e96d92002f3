/** `completion`: a shell script made from the tables of commands and flags; completing starts no process. */
import { UsageError } from '../../errors.ts';
import type { Call } from '../call.ts';
import { bashScript } from '../completion/bash.ts';
import { fishScript } from '../completion/fish.ts';
import { type CompletionModel, completionModel } from '../completion/model.ts';
import { powershellScript } from '../completion/powershell.ts';
import { zshScript } from '../completion/zsh.ts';
import { writeOut } from '../output.ts';

const SHELLS = new Map<string, (model: CompletionModel) => string>([
  ['bash', bashScript],
  ['zsh', zshScript],
  ['fish', fishScript],
  ['powershell', powershellScript],
]);

export async function completion({ operands, style }: Call): Promise<void> {
  const shell = operands[0]!;
  const script = SHELLS.get(shell);
  if (!script) {
    const known = [...SHELLS.keys()].join(', ');
    throw new UsageError('usage', `completion knows ${known}, not ${JSON.stringify(shell)}`, {
      upstream: `invalid argument ${JSON.stringify(shell)} for "${style.program} completion"`,
    });
  }
  writeOut(script(completionModel(style.program)));
}
