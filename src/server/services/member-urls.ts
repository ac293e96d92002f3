/** Which texts etcd takes for the URLs of a member. etcd v3.6 client/pkg/types/urls.go. */

/** Whether there is at least one, and each is one that a member can be reached at. */
export function areMemberUrls(urls: readonly string[]): boolean {
  return urls.length > 0 && urls.every((url) => isMemberUrl(url.trim()));
}

function isMemberUrl(url: string): boolean {
  const found = /^([a-z][a-z0-9+.-]*):(?:\/\/([^/?#]*))?([^?#]*)/i.exec(url);
  const [, scheme = '', authority = '', path = ''] = found ?? [];
  switch (scheme.toLowerCase()) {
    case 'http':
    case 'https':
      return path === '' && hasPort(authority);
    case 'unix':
    case 'unixs':
      return true;
    default:
      return false;
  }
}

/** `host:port`, the host in brackets when there are colons in it; Go takes either side for empty. */
function hasPort(authority: string): boolean {
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  return /^(?:\[[^[\]]*\]|[^[\]:\s]*):\d*$/.test(host);
}
