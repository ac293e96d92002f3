/** A port under TLS before a server, as it accepts connections from elsewhere; its client has a certificate with a name. */
import * as x509 from '@peculiar/x509';
import { webcrypto } from 'node:crypto';
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:tls';
import type { TestContext } from 'node:test';

export interface Identity {
  key: string;
  cert: string;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const HOUR_MS = 3_600_000;

/** A certificate signed by itself. */
export async function makeIdentity(name: string): Promise<Identity> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  x509.cryptoProvider.set(webcrypto as never);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    notBefore: new Date(Date.now() - HOUR_MS),
    notAfter: new Date(Date.now() + HOUR_MS),
    signingAlgorithm: ALGORITHM,
    keys: keys as never,
    extensions: [new x509.BasicConstraintsExtension(true)],
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
    cert: certificate.toString('pem'),
  };
}

/** Gives the port. */
export async function listenTls(
  t: TestContext,
  accept: (socket: Socket) => void,
  { server, client }: { server: Identity; client: Identity },
): Promise<number> {
  const options = { ...server, ca: client.cert, requestCert: true, ALPNProtocols: ['h2', 'http/1.1'] };
  const listener = createServer({ ...options, rejectUnauthorized: false }, accept);
  await new Promise<void>((resolve) => {
    listener.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => listener.close());
  return (listener.address() as AddressInfo).port;
}
