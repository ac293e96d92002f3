/** The address by which other hosts reach this one: that of the interface with the default route (Linux). */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';

const ROUTES = '/proc/net/route';

/** An IPv4 address; undefined where there is no default route, or nobody to ask. */
export function defaultHost(): string | undefined {
  let table: string;
  try {
    table = readFileSync(ROUTES, 'utf8');
  } catch {
    return undefined;
  }
  const name = defaultInterface(table);
  const addresses = name === undefined ? undefined : networkInterfaces()[name];
  return addresses?.find((address) => address.family === 'IPv4')?.address;
}

/** The interface of the default route in the kernel's table; with several, the one of the least metric. */
export function defaultInterface(table: string): string | undefined {
  const routes = table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[1] === '00000000' && columns[7] === '00000000');
  routes.sort((a, b) => Number(a[6]) - Number(b[6]));
  return routes[0]?.[0];
}
