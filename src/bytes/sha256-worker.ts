/** The worker thread of `sha256.ts`: one request, one answer. */
import { parentPort } from 'node:worker_threads';
import { ToolError } from '../errors.ts';
import { type DigestAnswer, type DigestRequest, sha256Of } from './sha256.ts';
import { openFile } from './source.ts';

function answer({ path, length }: DigestRequest): DigestAnswer {
  try {
    const source = openFile(path);
    try {
      return { digest: sha256Of(source, length) };
    } finally {
      source.close();
    }
  } catch (error) {
    const code = error instanceof ToolError ? error.code : 'io.failed';
    return { code, message: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.once('message', (request: DigestRequest) => {
  parentPort?.postMessage(answer(request));
});
