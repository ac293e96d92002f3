/**
 * Whether a client calls from where its certificate says it lives: etcd asks that of who comes to an https metrics URL
 * (client/pkg/transport `checkSAN`). A certificate without addresses and names may come from anywhere.
 */
import type { X509Certificate } from 'node:crypto';
import { lookup, reverse } from 'node:dns/promises';
import { dnsNamesOf, hasAddresses, isForHost } from './names.ts';

/** The look-ups that it takes; tests have their own. */
export interface Resolver {
  /** Names of an address. */
  reverse(address: string): Promise<readonly string[]>;
  /** Addresses of a name. */
  lookup(name: string): Promise<readonly string[]>;
}

const SYSTEM: Resolver = {
  reverse,
  lookup: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
};

/** What is wrong with the address; undefined when nothing is. */
export async function addressRefusal(
  certificate: X509Certificate,
  address: string,
  resolver = SYSTEM,
): Promise<string | undefined> {
  const names = dnsNamesOf(certificate);
  const isAddressed = hasAddresses(certificate);
  if (!isAddressed && names.length === 0) return undefined;
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
  if (isAddressed && isForHost(certificate, plain)) return undefined;
  if (names.length > 0 && (await isAmong(plain, names, resolver))) return undefined;
  const known =
    names.length > 0 ? `any of DNSNames ${JSON.stringify(names)}` : 'an address in its certificate';
  return `tls: ${JSON.stringify(plain)} does not match ${known}`;
}

async function isAmong(address: string, names: readonly string[], resolver: Resolver): Promise<boolean> {
  const plain = names.filter((name) => !name.startsWith('*.'));
  const endings = names.filter((name) => name.startsWith('*.')).map((name) => name.slice(1));
  const called = await resolver.reverse(address).catch((): string[] => []);
  for (const name of called.map((text) => text.replace(/\.$/, '')))
    if (plain.includes(name) || endings.some((ending) => name.endsWith(ending))) return true;
  for (const name of plain) {
    const found = await resolver.lookup(name).catch((): string[] => []);
    if (found.includes(address)) return true;
  }
  return false;
}
