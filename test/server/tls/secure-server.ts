/** A server under TLS in this process, an authority for it and its clients, and clients that say what became of them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { realDisk } from '../../../src/bytes/disk.ts';
import type { ChannelTls } from '../../../src/client/channel.ts';
import type { ServerOptions } from '../../../src/rpc/http2-server.ts';
import { ServerStats } from '../../../src/rpc/stats.ts';
import { type ClientTls, openClientTls } from '../../../src/server/tls/client-tls.ts';
import { NO_TLS, type TlsInfo } from '../../../src/server/tls/tls-info.ts';
import { Authority, type Identity, type Issued, writePair } from '../../support/authority.ts';
import { rememberingLog } from '../../support/opened-member.ts';
import { scratch } from '../../support/scratch.ts';
import { serverUnderTest, type UnderTest } from '../../rpc/server-under-test.ts';

export interface Secured {
  under: UnderTest;
  tls: ClientTls;
  stats: ServerStats;
  folder: string;
  files: { certFile: string; keyFile: string; trustedCaFile: string };
  endpoint: string;
  said: ReturnType<typeof rememberingLog>['said'];
}

export const authority = await Authority.create();
export const serverIdentity = await authority.issue({
  commonName: 'server',
  names: ['127.0.0.1', 'localhost'],
});

/** Clients must be certified by the authority unless `change` says otherwise. */
export async function secured(
  t: TestContext,
  change: Partial<TlsInfo> = {},
  options: Partial<ServerOptions> = {},
): Promise<Secured> {
  const folder = scratch(t);
  const files = {
    ...writePair(folder, 'server', serverIdentity),
    trustedCaFile: join(folder, 'ca.crt'),
  };
  writeFileSync(files.trustedCaFile, authority.cert);
  const { log, said } = rememberingLog();
  const stats = new ServerStats();
  const tls = await openClientTls({
    info: { ...NO_TLS, ...files, ...change },
    listenClientUrls: ['https://127.0.0.1:0'],
    listenClientHttpUrls: [],
    listenMetricsUrls: [],
    dataDir: undefined,
    stats: stats.handshakes,
    disk: realDisk(),
    log,
  });
  const secure = tls!.clients;
  const under = await serverUnderTest({ listen: { host: '127.0.0.1', port: 0, secure }, stats, ...options });
  t.after(() => under.end());
  return { under, tls: tls!, stats, folder, files, said, endpoint: `https://127.0.0.1:${under.port}` };
}

export function channelTls(identity?: Identity): ChannelTls {
  return { ca: authority.cert, ...(identity ? { cert: identity.cert, key: identity.key } : {}) };
}

/** Says a few words of HTTP/1.1; what comes back, or `refused` when the connection ends without an answer. */
export async function knock(
  port: number,
  identity?: Identity | Issued,
  options: ConnectionOptions = {},
): Promise<string> {
  const { cert, key } = identity ?? {};
  const socket = connect({
    port,
    host: '127.0.0.1',
    ca: authority.cert,
    ...(cert && key ? { cert, key } : {}),
    ...options,
  });
  return answerOf(socket);
}

export async function answerOf(socket: TLSSocket): Promise<string> {
  let answer = '';
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
  socket.on('secureConnect', () =>
    socket.write('GET /knock HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'),
  );
  await new Promise((resolve) => socket.on('close', resolve));
  return answer === '' ? 'refused' : answer.slice(answer.indexOf('\r\n\r\n') + 4);
}
