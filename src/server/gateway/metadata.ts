/** What a call carries besides its message, from the headers of a request, as grpc-gateway passes them on. */
import { RpcError, STATUS } from '../../rpc/status.ts';

const METADATA_PREFIX = 'grpc-metadata-';
const PERMANENT_PREFIX = 'grpcgateway-';
/** Headers that are passed on under a name of their own. */
const PERMANENT: ReadonlySet<string> = new Set([
  'accept',
  'accept-charset',
  'accept-language',
  'accept-ranges',
  'authorization',
  'cache-control',
  'content-type',
  'cookie',
  'date',
  'expect',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-schedule-tag-match',
  'if-unmodified-since',
  'max-forwards',
  'origin',
  'pragma',
  'referer',
  'user-agent',
  'via',
  'warning',
]);
/** gRPC refuses metadata of this name. */
const MALFORMED = 'connection';
const FORWARDED_FOR = 'x-forwarded-for';
const FORWARDED_HOST = 'x-forwarded-host';
const KEY = /^[-\w.]+$/;
const VALUE = /^[\x20-\x7e]*$/;

const UNITS_NS: Readonly<Record<string, bigint>> = {
  H: 3_600_000_000_000n,
  M: 60_000_000_000n,
  S: 1_000_000_000n,
  m: 1_000_000n,
  u: 1000n,
  n: 1n,
};
const NS_IN_MS = 1e6;

/**
 * Names are lower-case; of a name that came twice the last value counts. What is no metadata is left out. Throws
 * INVALID_ARGUMENT for a binary value that is not base64; others stay base64, as they are in gRPC's headers.
 */
export function metadataOf(rawHeaders: readonly string[], remoteAddress: string): Map<string, string> {
  const metadata = new Map<string, string>();
  const forwarded: string[] = [];
  let host = '';
  let forwardedHost = '';
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!.toLowerCase();
    const value = rawHeaders[at + 1]!;
    if (name === FORWARDED_FOR) forwarded.push(value);
    else if (name === FORWARDED_HOST) forwardedHost ||= value;
    else if (name === 'host' || name === ':authority') host = value;
    else if (!name.startsWith(':')) pass(metadata, name, value);
  }
  const seen = forwardedHost || host;
  if (seen !== '') metadata.set(FORWARDED_HOST, seen);
  if (remoteAddress !== '') forwarded.push(remoteAddress);
  if (forwarded.length > 0) metadata.set(FORWARDED_FOR, forwarded.join(', '));
  return metadata;
}

function pass(metadata: Map<string, string>, name: string, value: string): void {
  // Services look for tokens under this name too.
  if (name === 'authorization') metadata.set(name, value);
  const key = PERMANENT.has(name)
    ? PERMANENT_PREFIX + name
    : name.startsWith(METADATA_PREFIX)
      ? name.slice(METADATA_PREFIX.length)
      : undefined;
  if (key === undefined || key === MALFORMED || !KEY.test(key)) return;
  if (name.endsWith('-bin')) checkBinary(name, value);
  else if (!VALUE.test(value)) return;
  metadata.set(key, value);
}

function checkBinary(name: string, value: string): void {
  const content = value.length % 4 === 0 ? value.replace(/={1,2}$/, '') : value;
  const wrongAt = content.search(/[^A-Za-z0-9+/]/);
  if (wrongAt < 0 && content.length % 4 !== 1) return;
  const header = name.replaceAll(/(?:^|-)[a-z]/g, (start) => start.toUpperCase());
  const at = wrongAt < 0 ? content.length : wrongAt;
  const text = `invalid binary header ${header}: illegal base64 data at input byte ${at}`;
  throw new RpcError(STATUS.invalidArgument, text);
}

/**
 * Milliseconds of `Grpc-Timeout`; undefined for none. Times too long for 64 bits of nanoseconds are in the past, as for
 * Go. Throws INVALID_ARGUMENT for what is no time.
 */
export function timeoutOf(header: string | undefined): number | undefined {
  if (header === undefined || header === '') return undefined;
  const unit = UNITS_NS[header.at(-1)!];
  const text = header.slice(0, -1).replace(/^\+/, '');
  const count = /^-?\d{1,20}$/.test(text) ? BigInt(text) : undefined;
  if (unit === undefined || count === undefined || BigInt.asIntN(64, count) !== count)
    throw new RpcError(STATUS.invalidArgument, `invalid grpc-timeout: ${header}`);
  const timeoutNs = BigInt.asIntN(64, count * unit);
  return timeoutNs === 0n ? undefined : Number(timeoutNs) / NS_IN_MS;
}
