/**
 * Lists of URLs as etcd's flags take them: sorted, each as Go's net/url prints it again. What does not fit is told in
 * etcd's words. etcd v3.6 client/pkg/types/urls.go.
 */
import type { ToolError } from '../errors.ts';

/** Makes the error for a text that is no URL etcd would take. */
type Refuse = (message: string) => ToolError;

const quote = (text: string): string => JSON.stringify(text);
const compareText = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** The URLs in byte order. */
export function parseUrls(texts: readonly string[], refuse: Refuse): string[] {
  return texts.map((text) => parseUrl(text, refuse)).sort(compareText);
}

function parseUrl(given: string, refuse: Refuse): string {
  const text = given.trim();
  const malformed = (why: string): ToolError => refuse(`parse ${quote(text)}: ${why}`);
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(text)) throw malformed('net/url: invalid control character in URL');
  if (text.startsWith(':')) throw malformed('missing protocol scheme');
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):(.*)$/is.exec(text) ?? [];
  const kind = scheme.toLowerCase();
  if (scheme === '' && /^[^/?#]*:/.test(text))
    throw malformed('first path segment in URL cannot contain colon');
  if (!['http', 'https', 'unix', 'unixs'].includes(kind)) {
    throw refuse(`URL scheme must be http, https, unix, or unixs: ${text}`);
  }

  const [, authority = '', path = ''] = /^(?:\/\/([^/?#]*))?([^?#]*)/.exec(rest) ?? [];
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  const port = /^(?:\[[^\]]*\]|[^:]*)(:.*)?$/.exec(host)?.[1];
  if (port !== undefined && !/^:\d*$/.test(port)) throw malformed(`invalid port ${quote(port)} after host`);
  if (kind.startsWith('http')) {
    if (port === undefined) throw refuse(`URL address does not have the form "host:port": ${text}`);
    if (path !== '') throw refuse(`URL must not contain a path: ${text}`);
  }
  return `${kind}:${rest}`;
}

/** Where a URL from {@link parseUrls} leads: where to listen, or what to connect to. */
export type Address = { isSecure: boolean } & (
  | { kind: 'tcp'; host: string; port: number }
  | { kind: 'unix'; path: string }
);

/** Host without brackets; a socket's path is what follows `unix://`, relative where it does not begin with a slash. */
export function addressOf(url: string): Address {
  const [, scheme = '', rest = ''] = /^([a-z]+):(?:\/\/)?(.*)$/s.exec(url) ?? [];
  const isSecure = scheme === 'https' || scheme === 'unixs';
  if (scheme.startsWith('unix')) return { isSecure, kind: 'unix', path: rest };
  const [, bracketed, plain, port] = /(?:^|@)(?:\[([^\]]*)\]|([^:@]*)):(\d*)$/.exec(rest) ?? [];
  return { isSecure, kind: 'tcp', host: bracketed ?? plain ?? '', port: Number(port) };
}
