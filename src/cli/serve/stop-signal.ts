/** SIGTERM and Ctrl-C: the first asks the server to stop, the second ends the process where it stands. */
import { endNow, EXIT_CODES } from '../exit.ts';

export interface StopSignal {
  /** Aborted by the first signal. */
  signal: AbortSignal;
  /** Fulfilled with its name. */
  arrived: Promise<NodeJS.Signals>;
}

export function stopSignal(): StopSignal {
  const controller = new AbortController();
  const arrived = new Promise<NodeJS.Signals>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) {
      process.on(name, () => {
        if (controller.signal.aborted) endNow(EXIT_CODES.interrupted);
        controller.abort();
        resolve(name);
      });
    }
  });
  return { signal: controller.signal, arrived };
}
