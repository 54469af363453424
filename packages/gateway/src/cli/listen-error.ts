/** What the system said against listening, in a sentence. @throws what was thrown, when it is none of that kind */
export function cannotListen(error: unknown, host: string): string {
  const { code, port } = error as NodeJS.ErrnoException & { port?: number }
  if (code === 'EADDRINUSE')
    return `port ${port}: expected a free one, got one that another program listens on; name another with --port`
  if (code === 'EACCES')
    return `port ${port}: expected one this user may listen on, got one that needs more rights; name one above 1023`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return `host: expected an address of this machine, got "${host}"`
  throw error
}
