import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToolError } from '../../src/errors.ts';
import { checkConfig, defaultConfig, requestTimeoutMs, type ServerConfig } from '../../src/server/config.ts';

const withChange = (change: Partial<ServerConfig>): ServerConfig => ({ ...defaultConfig(), ...change });

test('the default configuration is good', () => {
  assert.doesNotThrow(() => checkConfig(defaultConfig()));
});

test('what cannot be is refused in the words of etcd', () => {
  const wrong: [Partial<ServerConfig>, string][] = [
    [
      { listenClientUrls: ['http://example.com:2379'] },
      'expected IP in URL for binding (http://example.com:2379)',
    ],
    [{ listenMetricsUrls: ['http://:2381'] }, 'expected IP in URL for binding (http://:2381)'],
    [{ listenClientUrls: [] }, 'there is no URL to listen on for clients'],
    [
      { listenClientUrls: ['https://127.0.0.1:2379'] },
      'TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:2379 with HTTPS scheme',
    ],
    [
      { listenClientHttpUrls: ['unixs:///run/x'] },
      'TLS key/cert (--cert-file, --key-file) must be provided for client url unixs:///run/x with HTTPS scheme',
    ],
    [
      { advertiseClientUrls: ['http://:2379'] },
      '--advertise-client-urls "http://:2379" must be "host:port" (unexpected empty host (http://:2379))',
    ],
    [
      { peerUrls: ['http://:2380'] },
      '--initial-advertise-peer-urls "http://:2380" must be "host:port" (unexpected empty host (http://:2380))',
    ],
    [{ heartbeatMs: 0 }, '--heartbeat-interval must be >0 (set to 0ms)'],
    [{ electionMs: 0 }, '--election-timeout must be >0 (set to 0ms)'],
    [
      { heartbeatMs: 300 },
      '--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[300ms]',
    ],
    [{ electionMs: 50_001 }, '--election-timeout[50001ms] is too long, and should be set less than 50000ms'],
    [
      { listenClientHttpUrls: ['http://localhost:2379'] },
      'cannot bind both --listen-client-urls and --listen-client-http-urls on the same url http://localhost:2379',
    ],
  ];
  for (const [change, message] of wrong) {
    assert.throws(
      () => checkConfig(withChange(change)),
      (error) => error instanceof ToolError && error.code === 'server.config' && error.message === message,
      message,
    );
  }
});

test('places to listen: addresses of both kinds, localhost, sockets', () => {
  const listenClientUrls = ['http://0.0.0.0:1', 'http://[::]:1', 'http://localhost:0', 'unix:///run/e.sock'];
  assert.doesNotThrow(() => checkConfig(withChange({ listenClientUrls })));
});

test('a request waits for five seconds and two elections, in whole heartbeats', () => {
  assert.equal(requestTimeoutMs(defaultConfig()), 7000);
  assert.equal(requestTimeoutMs(withChange({ heartbeatMs: 300, electionMs: 1700 })), 8000);
});
