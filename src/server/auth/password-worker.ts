/** The worker thread of `passwords.ts`: one request, one answer, one after another. */
import { randomBytes } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { encodeBase64, hashSync } from 'bcryptjs';
import { costText } from './bcrypt.ts';

const SALT_SIZE = 16;

/** With the salt of a stored hash, or with a fresh one. */
export type PasswordRequest = { password: string; salt: string } | { password: string; cost: number };
/** A whole hash. */
export type PasswordAnswer = { hash: string } | { problem: string };

function answer(request: PasswordRequest): PasswordAnswer {
  try {
    return { hash: hashSync(request.password, 'salt' in request ? request.salt : freshSalt(request.cost)) };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

/** `2a`, as Go writes it: bcryptjs by itself writes `2b`, which says the same of the same bytes. */
function freshSalt(cost: number): string {
  return `$2a$${costText(cost)}$${encodeBase64([...randomBytes(SALT_SIZE)], SALT_SIZE)}`;
}

parentPort?.on('message', (request: PasswordRequest) => {
  parentPort?.postMessage(answer(request));
});
