import assert from 'node:assert/strict';
import { isIPv4 } from 'node:net';
import { test } from 'node:test';
import { defaultHost, defaultInterface } from '../../../src/cli/serve/default-host.ts';

const HEADER = 'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT';

test('the interface of the default route, of several the one of the least metric', () => {
  const table = [
    HEADER,
    'eth1\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0',
    'wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0',
    'eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0',
    '',
  ];
  assert.equal(defaultInterface(table.join('\n')), 'eth0');
  assert.equal(defaultInterface(`${HEADER}\n`), undefined);
});

test('this host has an address, or none', () => {
  const host = defaultHost();
  assert.ok(host === undefined || isIPv4(host));
});
