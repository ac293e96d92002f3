/** One HTTP/1.1 request on a connection of its own. */
import { request, type RequestOptions } from 'node:http';

export interface Answer {
  code: number;
  type: string | undefined;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: string;
}

export function ask(url: string, options: RequestOptions = {}, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent: false, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.once('end', () => {
        const { statusCode: code = 0, headers } = response;
        resolve({ code, type: headers['content-type'], headers, body: text });
      });
    });
    sent.once('error', reject);
    sent.end(body);
  });
}
