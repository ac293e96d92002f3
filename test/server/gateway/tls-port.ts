/** A port under TLS before a server, as it accepts connections from elsewhere. */
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:tls';
import type { TestContext } from 'node:test';

/** Signed by itself, for a hundred years, by nobody whom anybody trusts; its name is "somebody". */
export const IDENTITY = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgOQEkfYaBvKexexJh
px51WWLQLYi6jmgn+TTv5Fs0WRWhRANCAAScvY+MqVPWZoUBmQY6cXlV9sV6p9Sm
fDZ6WeqmLTVQAVJwZGC1OP64Rdp2gsSJWXmBBy9oUlq9nmwALkzvqiIL
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBfTCCASOgAwIBAgIUXbQ0r0dQ1W1fLrv+8Nu628zLu2MwCgYIKoZIzj0EAwIw
EzERMA8GA1UEAwwIc29tZWJvZHkwIBcNMjYxMTI1MDI1NTMwWhgPMjEyNjExMDEw
MjU1MzBaMBMxETAPBgNVBAMMCHNvbWVib2R5MFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEnL2PjKlT1maFAZkGOnF5VfbFeqfUpnw2elnqpi01UAFScGRgtTj+uEXa
doLEiVl5gQcvaFJavZ5sAC5M76oiC6NTMFEwHQYDVR0OBBYEFOPqXhNzoRgbpqwu
3yTmZnjaGg71MB8GA1UdIwQYMBaAFOPqXhNzoRgbpqwu3yTmZnjaGg71MA8GA1Ud
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAKNVBY9v+G6sQqmLA2FQNxGR
MopUosaRHP4LAA/UgPcRAiAPSdL9nphtwLLozvWC+1aLPsagSEU+Q8wlxZeKi8VD
ew==
-----END CERTIFICATE-----`,
};

/** Takes clients with and without that certificate; gives the port. */
export async function listenTls(t: TestContext, accept: (socket: Socket) => void): Promise<number> {
  const client = { ca: IDENTITY.cert, requestCert: true, rejectUnauthorized: false };
  const listener = createServer({ ...IDENTITY, ...client, ALPNProtocols: ['h2', 'http/1.1'] }, accept);
  await new Promise<void>((resolve) => {
    listener.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => listener.close());
  return (listener.address() as AddressInfo).port;
}
