/** Patches of little-endian fields, for the edits that `mutate.ts` applies: a damaged twin is computed, not stored. */

interface FieldPatch {
  offset: number;
  bytes: Uint8Array;
}

const patch = (offset: number, size: number, set: (view: DataView) => void): FieldPatch => {
  const bytes = new Uint8Array(size);
  set(new DataView(bytes.buffer));
  return { offset, bytes };
};

export const u16At = (offset: number, value: number): FieldPatch =>
  patch(offset, 2, (view) => view.setUint16(0, value, true));

export const u32At = (offset: number, value: number): FieldPatch =>
  patch(offset, 4, (view) => view.setUint32(0, value, true));

export const u64At = (offset: number, value: number | bigint): FieldPatch =>
  patch(offset, 8, (view) => view.setBigUint64(0, BigInt(value), true));

export const bytesAt = (offset: number, bytes: Uint8Array | string): FieldPatch => ({
  offset,
  bytes: typeof bytes === 'string' ? Buffer.from(bytes) : new Uint8Array(bytes),
});

/** One byte of `original`, changed by `mask`. */
export const xorAt = (original: Uint8Array, offset: number, mask: number): FieldPatch => ({
  offset,
  bytes: Uint8Array.of(original[offset]! ^ mask),
});
