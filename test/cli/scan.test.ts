import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nameOf } from '../../src/cli/commands.ts';
import { scan } from '../../src/cli/scan.ts';

const read = (...argv: string[]): string => {
  const { command, flags, operands, problem, wantsHelp } = scan(argv, 'etcdkit');
  const parts = [command ? nameOf(command) : '-', `[${flags.join(' ')}]`, `[${operands.join(' ')}]`];
  if (wantsHelp) parts.push('help');
  if (problem) parts.push(problem.message);
  return parts.join(' ');
};

describe('scan', () => {
  test('commands and unambiguous beginnings of them', () => {
    assert.equal(read('snapshot', 'status', 'x'), 'snapshot status [] [x]');
    assert.equal(read('snap', 'stat', 'x'), 'snapshot status [] [x]');
    assert.equal(read('h', 'x'), 'hashkv [] [x]');
    assert.equal(read('version'), 'version [] []');
    assert.equal(read(), '- [] []');
    assert.equal(read('snapshot'), '- [] []');
  });

  test('under the name of etcdutl beginnings mean its commands alone', () => {
    const commandOf = (program: string, ...argv: string[]) => scan(argv, program).command?.path.join(' ');
    assert.equal(commandOf('etcdutl', 's', 'status', 'x'), 'snapshot status');
    assert.equal(commandOf('etcdutl', 'd'), 'defrag');
    assert.equal(commandOf('etcdutl', 'serve'), 'serve');
    assert.equal(commandOf('etcdkit', 's', 'status', 'x'), undefined);
  });

  test('flags in every spelling, before and after the command', () => {
    const spellings = [
      ['-w', 'json'],
      ['-w=json'],
      ['-wjson'],
      ['--write-out', 'json'],
      ['--write-out=json'],
    ];
    for (const flag of spellings) {
      assert.equal(read(...flag, 'snap', 'status', 'x'), 'snapshot status [--write-out=json] [x]');
      assert.equal(read('snap', ...flag, 'status', 'x'), 'snapshot status [--write-out=json] [x]');
      assert.equal(read('snap', 'status', 'x', ...flag), 'snapshot status [--write-out=json] [x]');
    }
    assert.equal(read('--rev', '5', 'hashkv', 'x'), 'hashkv [--rev=5] [x]');
    assert.equal(read('version', '--compat='), 'version [--compat=] []');
  });

  test('a value may look like anything', () => {
    assert.equal(read('hashkv', '--rev', '--', 'x'), 'hashkv [--rev=--] [x]');
    assert.equal(read('hashkv', '--rev', '-5', 'x'), 'hashkv [--rev=-5] [x]');
    assert.equal(read('hashkv', '--rev=a=b'), 'hashkv [--rev=a=b] []');
  });

  test('after -- nothing is a flag; a lone - is an operand', () => {
    assert.equal(read('hashkv', '--', '--rev', '-w'), 'hashkv [] [--rev -w]');
    assert.equal(read('hashkv', '-'), 'hashkv [] [-]');
    assert.equal(read('--', 'hashkv', 'x'), 'hashkv [] [x]');
  });

  test('help, as flag and as word', () => {
    assert.equal(read('snap', 'stat', '--help'), 'snapshot status [--help=true] [] help');
    assert.equal(read('-h'), '- [--help=true] [] help');
    assert.equal(read('help', 'hashkv'), 'hashkv [] [] help');
    assert.equal(read('hashkv', '--help=false', 'x'), 'hashkv [--help=false] [x]');
    assert.equal(read('hashkv', '-hw', 'json'), 'hashkv [--help=true --write-out=json] [] help');
  });

  test('what does not fit, in the words of cobra', () => {
    const problem = (...argv: string[]): string | undefined => scan(argv, 'etcdutl').problem?.message;
    assert.equal(problem('foo'), 'unknown command "foo" for "etcdutl"');
    assert.equal(problem(''), 'unknown command "" for "etcdutl"');
    assert.equal(problem('snapshot', 'foo'), 'unknown command "foo" for "etcdutl snapshot"');
    assert.equal(problem('constructor'), 'unknown command "constructor" for "etcdutl"');
    assert.equal(problem('hashkv', '--bogus', 'x'), 'unknown flag: --bogus');
    assert.equal(problem('hashkv', '--bogus=1', 'x'), 'unknown flag: --bogus');
    assert.equal(problem('hashkv', '--toString', 'x'), 'unknown flag: --toString');
    assert.equal(problem('--bogus'), 'unknown flag: --bogus');
    assert.equal(problem('version', '--rev', '5'), 'unknown flag: --rev');
    assert.equal(problem('hashkv', '-z'), "unknown shorthand flag: 'z' in -z");
    assert.equal(problem('hashkv', '-hz'), "unknown shorthand flag: 'z' in -hz");
    assert.equal(problem('hashkv', '--rev'), 'flag needs an argument: --rev');
    assert.equal(problem('hashkv', '-w'), "flag needs an argument: 'w' in -w");
    assert.equal(problem('foo', '--bogus'), 'unknown command "foo" for "etcdutl"');
    assert.equal(
      scan(['version', '--help=maybe'], 'etcdutl').problem?.upstream,
      'invalid argument "maybe" for "-h, --help" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
    );
  });

  test('the style is known even of a line that does not fit', () => {
    assert.equal(scan(['foo', '--compat', '3.5'], 'etcdkit').compat, '3.5');
    assert.equal(scan(['--compat=3.5', '--compat=3.7', '--bogus'], 'etcdkit').compat, '3.7');
    assert.equal(scan(['version'], 'etcdkit').compat, undefined);
  });
});
