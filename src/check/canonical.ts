/**
 * Rows that are protobuf messages, held against what etcd writes: fields in ascending order, none unknown, no zero
 * written out. A decoder passes over an unknown field, so a damaged tag would go unnoticed.
 */
import { ToolError } from '../errors.ts';

/** What is needed of a message. */
interface Codec<V> {
  decode(bytes: Uint8Array): V;
  encode(value: V): Uint8Array;
}

/** Whether `bytes` decode, and encode to the same bytes again when only known fields are kept. */
export function isCanonical<V>(message: Codec<V>, bytes: Uint8Array): boolean {
  try {
    // The clone has lost what the decoder keeps under symbols, and with it unknown fields.
    const known = structuredClone(message.decode(bytes));
    return Buffer.compare(message.encode(known), bytes) === 0;
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return false;
  }
}
