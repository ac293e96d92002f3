/** An etcd that writes to a database while it is read, as far as a reader can tell. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { openFile } from '../../src/bytes/source.ts';
import { encodeMetaPage, readMetas } from '../../src/format/bolt/meta.ts';

const META_SIZE = 80;

/** Makes every look at the clock find that it is time to rest, so that progress is told after each page. */
export function hurry(t: TestContext): void {
  let now = 0;
  t.mock.method(performance, 'now', () => (now += 25));
}

/** A commit: the other meta, one transaction on. */
export function commit(path: string): void {
  const source = openFile(path);
  const { live } = readMetas(source);
  source.close();
  const page = 1 - live.page;
  const fd = openSync(path, 'r+');
  const meta = encodeMetaPage({ ...live, page, txid: live.txid + 1n });
  writeSync(fd, meta, 0, META_SIZE, page * live.pageSize);
  closeSync(fd);
}
