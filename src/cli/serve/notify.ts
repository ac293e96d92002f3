/**
 * Tells systemd that the server is ready, or stops. The protocol is a datagram on a unix socket, which Node cannot send:
 * `systemd-notify`, which is wherever systemd is, does it for us, in the name of our process (as root; otherwise the
 * unit needs `NotifyAccess=all`).
 */
import { execFile } from 'node:child_process';

/** The program that sends the datagram. */
const PROGRAM = 'systemd-notify';
const TIME_LIMIT_MS = 5000;

/** What systemd may be told. */
export type NotifyState = 'READY=1' | 'STOPPING=1';

/**
 * Sends the state where a supervisor waits for it. Gives whether anybody was told; throws what `systemd-notify`, or its
 * absence, says.
 */
export async function notifySupervisor(
  state: NotifyState,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<boolean> {
  if (!environment['NOTIFY_SOCKET']) return false;
  const args = [`--pid=${process.pid}`, state];
  await new Promise<void>((resolve, reject) => {
    execFile(PROGRAM, args, { env: { ...environment }, timeout: TIME_LIMIT_MS }, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
  return true;
}
