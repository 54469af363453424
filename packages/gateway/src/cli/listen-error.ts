/** Explains why the system refused to listen. @throws `error` itself when it has another cause */
export function cannotListen(error: unknown, host: string): string {
  const { code, port } = error as NodeJS.ErrnoException & { port?: number }
  if (code === 'EADDRINUSE')
    return `port ${port}: expected a free port, got one that another program uses; choose another with --port`
  if (code === 'EACCES')
    return `port ${port}: expected a port this user may listen on, got one that needs more rights; choose one above 1023`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return `host: expected an address of this machine, got "${host}"`
  throw error
}
