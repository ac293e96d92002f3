/** Names of fields in JSON, as they follow from the tables of messages. */
import type { Field, Message } from '../../format/proto/field.ts';

export interface NamedField {
  /** In decoded messages. */
  key: string;
  field: Field;
  /** In the schema, which is how etcd writes it. */
  textName: string;
  /** As JSON has it by default; both are read. */
  jsonName: string;
}

interface Names {
  /** In the order of the schema. */
  fields: readonly NamedField[];
  byName: ReadonlyMap<string, NamedField>;
}

const known = new WeakMap<Message<unknown>, Names>();

const snake = (key: string): string => key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const camel = (name: string): string =>
  name.replaceAll(/_(.?)/g, (_, letter: string) => letter.toUpperCase());

export function namesOf(of: Message<unknown>): Names {
  let names = known.get(of);
  if (names === undefined) {
    const fields = Object.entries(of.fields).map(([key, field]): NamedField => {
      const textName = field.textName ?? snake(key);
      return { key, field, textName, jsonName: camel(textName) };
    });
    const byName = new Map(
      fields.flatMap((named) => [[named.textName, named] as const, [named.jsonName, named] as const]),
    );
    names = { fields, byName };
    known.set(of, names);
  }
  return names;
}

export function messageOf({ of }: Field): Message<unknown> {
  return typeof of === 'function' ? of() : of!;
}
