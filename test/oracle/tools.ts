/**
 * Runs the real command-line tools: never through a shell, always with a time limit, and without any
 * `ETCD_*` or `ETCDCTL_*` setting of the caller's environment.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';
import { program, OracleError } from './cache.ts';
import type { Tool, Version } from './cache.ts';

/** How a tool ended. `code` is 128 + the signal's number when a signal ended it, as a shell reports it. */
export interface ToolResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** What can be said about any run of a tool; the time limit is 60 s unless given. */
export interface ToolOptions {
  cwd?: string;
  env?: Readonly<Record<string, string>>;
  input?: string | Uint8Array;
  timeoutMs?: number;
  /** Called with each line of stdout as it comes. */
  onLine?: (line: string) => void;
  /** Ends the tool with SIGINT, as Ctrl-C does. */
  interrupt?: AbortSignal;
}

/** `etcdctl` speaks to one endpoint, or to none for its offline commands. */
export interface EtcdctlOptions extends ToolOptions {
  endpoint?: string;
}

/** The caller's environment without etcd's own settings, plus the given ones. */
export function toolEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !/^ETCD(CTL)?_/.test(name)) kept[name] = value;
  }
  return { ...kept, ...extra };
}

/** Runs a tool to its end. Rejects with an OracleError if it cannot start or exceeds its time. */
export function runTool(
  version: Version,
  tool: Tool,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<ToolResult> {
  const { file, args: leading } = program(version, tool);
  const timeoutMs = options.timeoutMs ?? 60_000;
  const what = `${tool} ${version} ${args.join(' ')}`;
  return new Promise((fulfil, reject) => {
    const child = spawn(file, [...leading, ...args], {
      cwd: options.cwd,
      env: toolEnvironment(options.env),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    const { onLine, interrupt } = options;
    if (onLine) createInterface({ input: child.stdout }).on('line', onLine);
    interrupt?.addEventListener('abort', () => child.kill('SIGINT'), { once: true });
    if (interrupt?.aborted === true) child.kill('SIGINT');
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on('error', () => {}); // a tool that ends without reading its input is no failure
    // Somebody at a terminal ends a command by Ctrl-C while its input is still open.
    if (interrupt && options.input !== undefined) child.stdin.write(options.input);
    else child.stdin.end(options.input);
    child.on('error', (cause) => {
      clearTimeout(timer);
      reject(new OracleError(`${what} did not start`, { cause }));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const errors = Buffer.concat(stderr).toString();
      if (isLate) return reject(new OracleError(`${what} took over ${timeoutMs} ms: ${errors.slice(-2000)}`));
      fulfil({
        code: code ?? 128 + (signal === null ? 0 : constants.signals[signal]),
        stdout: Buffer.concat(stdout).toString(),
        stderr: errors,
      });
    });
  });
}

/** Real `etcdctl`. For 3.4 it speaks API 3 and also has the offline `snapshot status` and `restore`. */
export function etcdctl(
  version: Version,
  args: readonly string[],
  options: EtcdctlOptions = {},
): Promise<ToolResult> {
  const { endpoint, env, ...rest } = options;
  const leading = endpoint === undefined ? [] : [`--endpoints=${endpoint}`];
  const api = version === '3.4' ? { ETCDCTL_API: '3' } : {};
  return runTool(version, 'etcdctl', [...leading, ...args], { ...rest, env: { ...api, ...env } });
}

/** Real `etcdutl` (3.5 and later). Its `hashkv` rewrites the file it is given: hand it a copy. */
export function etcdutl(
  version: Version,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<ToolResult> {
  return runTool(version, 'etcdutl', args, options);
}

/** Real `bbolt` (1.5.0, from the 3.7 build), as `check`, `compact`, `pages` and the like. */
export function bbolt(args: readonly string[], options: ToolOptions = {}): Promise<ToolResult> {
  return runTool('3.7', 'bbolt', args, options);
}

/** Passes a result on if the tool exited with 0, and throws what the tool said otherwise. */
export async function succeeded(running: Promise<ToolResult>): Promise<ToolResult> {
  const result = await running;
  if (result.code === 0) return result;
  throw new OracleError(
    `exit code ${result.code}: ${result.stderr.slice(-2000)}${result.stdout.slice(-500)}`,
  );
}
