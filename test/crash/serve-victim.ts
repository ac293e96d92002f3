/** `serve` on a disk that falls ill on SIGUSR2: `node serve-victim.js ILLNESS --flag=value…`. */
import { serveWith } from '../../src/cli/commands/serve.ts';
import type { Call } from '../../src/cli/call.ts';
import { describeError, endingOf, endWith, exitCodeOf } from '../../src/cli/exit.ts';
import { styleOf } from '../../src/cli/style.ts';
import { startServer } from '../../src/server/server.ts';
import { ailingDisk, ILLNESSES } from '../support/ailing-disk.ts';

const [name, ...flags] = process.argv.slice(2);
const ailing = ailingDisk();
process.on('SIGUSR2', () => {
  ailing.illness = ILLNESSES[name as keyof typeof ILLNESSES];
});
const style = styleOf(undefined);
const given = new Map(
  flags.map((flag) => {
    const [, key, value] = /^--([^=]+)=(.*)$/.exec(flag)!;
    return [key!, value!] as const;
  }),
);
const call = { operands: [], flags: { timeout: 0 }, given, environment: {}, style } as unknown as Call;
try {
  await serveWith((config, context) => startServer(config, { ...context, disk: ailing.disk }), call);
  endWith(0);
} catch (error) {
  process.stderr.write(describeError(error, style));
  endWith(exitCodeOf(endingOf(error), style, error));
}
