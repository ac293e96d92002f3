/** PEM as Go's encoding/pem reads it: blocks of any kind, and text between them that means nothing. */

export interface PemBlock {
  type: string;
  /** The block as it stands. */
  text: string;
}

const BLOCK = /^-----BEGIN ([^\r\n]*?)-----[ \t]*\r?\n[^]*?^-----END \1-----[ \t]*\r?$/gm;

/** All blocks of a file, in order. */
export function pemBlocks(content: Uint8Array): PemBlock[] {
  const text = Buffer.from(content).toString('latin1');
  return [...text.matchAll(BLOCK)].map((match) => ({ type: match[1]!, text: `${match[0]}\n` }));
}
