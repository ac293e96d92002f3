import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyArena } from '../../../src/store/mvcc/key-arena.ts';
import { text } from '../database-builder.ts';

const add = (arena: KeyArena, name: string): number => arena.add(text(`--${name}--`), 2, name.length + 2);

test('keys of any size are kept side by side', () => {
  const arena = new KeyArena();
  const names = Array.from({ length: 4000 }, (_, i) => `${i}`.padEnd((i * 37) % 90, '.'));
  names.push('', 'x'.repeat(65_536), 'y'.repeat(65_537), 'z'.repeat(300_000), 'end');
  const addresses = names.map((name) => add(arena, name));
  assert.equal(new Set(addresses).size, names.length);
  for (const [i, name] of names.entries()) {
    const address = addresses[i]!;
    assert.equal(arena.text(address, name.length), name);
    assert.equal(Buffer.from(arena.view(address, name.length)).toString('latin1'), name);
    assert.equal(arena.isSame(address, text(`.${name}`), 1, name.length + 1), true);
    if (name !== '')
      assert.equal(arena.isSame(address, text(`${name.slice(0, -1)}!`), 0, name.length), false);
  }
});

test('room of a key that is removed is used again by one of about its size, and by no other', () => {
  const arena = new KeyArena();
  const first = add(arena, 'twelve bytes');
  const second = add(arena, 'neighbour');
  arena.remove(first, 12);
  assert.notEqual(add(arena, 'short'), first);
  assert.equal(add(arena, 'sixteen bytes...'), first);
  assert.notEqual(add(arena, 'sixteen bytes...'), first);
  assert.equal(arena.text(second, 9), 'neighbour');
});

test('keys compare as their bytes do, and so do their parts', () => {
  const arena = new KeyArena();
  const names = [
    '',
    'a',
    'a\0',
    'a\0\0',
    'abcdef',
    'abcdef\0',
    'abcdefg',
    'abcdefgh',
    'b',
    '\x80',
    '\xff\xff',
  ];
  const addresses = names.map((name) => add(arena, name));
  for (const [i, a] of names.entries()) {
    for (const [j, b] of names.entries()) {
      assert.equal(Math.sign(arena.compare(addresses[i]!, a.length, text(b))), Math.sign(i - j), `${a} ${b}`);
      const parts = [0, 6].map((depth) =>
        Math.sign(
          arena.partOf(addresses[i]!, a.length, depth) - arena.partOf(addresses[j]!, b.length, depth),
        ),
      );
      assert.equal(parts[0] || parts[1], Math.sign(i - j), `${a} ${b}`);
    }
  }
});
