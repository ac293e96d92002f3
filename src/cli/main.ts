/** The program. Whatever a command needs is loaded when it runs: starting must cost next to nothing. */
import { describeError, endNow, endWith, EXIT_CODES } from './exit.ts';
import { writeError } from './output.ts';
import { run } from './run.ts';
import { styleOf } from './style.ts';

for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    writeError(describeError(error, styleOf(undefined), process.argv.includes('--log-level=debug')));
    endNow(EXIT_CODES.failed);
  });
}

endWith(
  await run({ argv: process.argv.slice(2), programPath: process.argv[1] ?? '', environment: process.env }),
);
