/** What the operating system says of this process (Linux; zero where there is no /proc). */
import { readdirSync, readFileSync } from 'node:fs';

/** One look at the process. */
export interface ProcessStats {
  cpuSeconds: number;
  residentBytes: number;
  virtualBytes: number;
  openFiles: number;
  openFilesMax: number;
  /** Unix time. */
  startSeconds: number;
}

/** Looks now. */
export function readProcess(): ProcessStats {
  const { user, system } = process.cpuUsage();
  const limits = /^Max open files\s+(\S+)/m.exec(readText('/proc/self/limits'))?.[1];
  const virtual = /^VmSize:\s+(\d+) kB/m.exec(readText('/proc/self/status'))?.[1];
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: process.memoryUsage.rss(),
    virtualBytes: Number(virtual ?? 0) * 1024,
    openFiles: countFiles(),
    openFilesMax: limits === 'unlimited' ? Infinity : Number(limits ?? 0),
    startSeconds: (Date.now() - process.uptime() * 1000) / 1000,
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function countFiles(): number {
  try {
    // One of them is the listing itself.
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    return 0;
  }
}
