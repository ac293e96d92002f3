/** `grpc-message`: the text of a status, percent-encoded as gRPC over HTTP/2 has it. */

// oxlint-disable-next-line no-control-regex
const NEEDS_ENCODING = /[^\x20-\x24\x26-\x7e]/;

/** Printable ASCII but `%` stays; every other byte of the UTF-8 becomes `%XX`. */
export function encodeGrpcMessage(text: string): string {
  if (!NEEDS_ENCODING.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** The text again; what is no valid escape stays as it is. */
export function decodeGrpcMessage(encoded: string): string {
  if (!encoded.includes('%')) return encoded;
  const bytes = encoded.replaceAll(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
