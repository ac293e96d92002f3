/** Values of any message, made from its table, for fast-check. */
import * as fc from 'fast-check';
import type { Field, Kind, Message } from '../../src/format/proto/field.ts';

const SCALARS: Record<Exclude<Kind, 'message'>, fc.Arbitrary<unknown>> = {
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  count: fc.maxSafeNat(),
  uint32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  enum: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  bool: fc.boolean(),
  bytes: fc.uint8Array({ maxLength: 400 }),
  text: fc.string({ unit: 'binary' }),
};

/** Every field that a decoded message has; optional ones sometimes, of a group at most one. */
export function arbitraryMessage<V>(message: Message<V>, depth = 0): fc.Arbitrary<V> {
  const required: Record<string, fc.Arbitrary<unknown>> = {};
  const free: Record<string, fc.Arbitrary<unknown>> = {};
  const groups = new Map<string, string[]>();
  for (const [key, field] of Object.entries(message.fields)) {
    if (field.kind === 'message' && field.presence === 'optional' && !field.isRepeated && depth > 2) continue;
    const value = arbitraryField(field, depth);
    if (field.presence === 'optional' && !field.isRepeated) free[key] = value;
    else required[key] = value;
    if (field.group !== undefined) groups.set(field.group, [...(groups.get(field.group) ?? []), key]);
  }
  return fc.record({ ...required, ...free }, { requiredKeys: Object.keys(required) }).map((value) => {
    const plain = { ...value } as Record<string, unknown>;
    for (const keys of groups.values()) {
      for (const rival of keys.filter((key) => key in plain).slice(1)) delete plain[rival];
    }
    return plain as V;
  });
}

function arbitraryField(field: Field, depth: number): fc.Arbitrary<unknown> {
  const one = arbitraryOne(field, depth);
  return field.isRepeated ? fc.array(one, { maxLength: depth > 2 ? 0 : 3 }) : one;
}

function arbitraryOne(field: Field, depth: number): fc.Arbitrary<unknown> {
  if (field.kind !== 'message') return SCALARS[field.kind];
  const of = typeof field.of === 'function' ? field.of() : field.of!;
  return depth > 3 ? fc.constant({}) : arbitraryMessage(of, depth + 1);
}
