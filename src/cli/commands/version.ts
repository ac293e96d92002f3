/** `version`: what program this is. */
import type { Call } from '../call.ts';
import { writeOut } from '../output.ts';
import { UPSTREAM_VERSIONS } from '../style.ts';
import { VERSION } from '../version.ts';

export async function version({ style }: Call): Promise<void> {
  const own = style.compat ? UPSTREAM_VERSIONS[style.compat] : VERSION;
  writeOut(`${style.program} version: ${own}\nAPI version: ${style.shapes}\n`);
}
