import type { Clock, Timer } from '../../clock.ts'
import type { Reply } from './server.ts'
import { SLOTS, slotOf } from './slot.ts'

/** Which server has which key. Without a cluster, one server has all. */
export interface Topology {
  /** The server of a key or channel. */
  of(key: string): string
  /** Whether this server is known to be one of them. */
  has(server: string): boolean
  /** A server said that another has this slot. */
  moved(to: Moved): void
  /** A command failed at this server: another may have taken its place. */
  doubt(server: string): void
  /** The connection to a server was opened again: channels must be joined again. */
  renewed(server: string): void
  /** Called after each change, and when a connection was opened again. */
  onChange(listener: (renewed: string | undefined) => void): void
  close(): void
}

export interface TopologyParts {
  readonly seeds: readonly [string, ...string[]]
  readonly clock: Clock
  /** The reply of a server to `CLUSTER SLOTS`. */
  readonly ask: (server: string) => Promise<Reply>
}

export interface Moved {
  readonly slot: number
  readonly server: string
}

/** How soon after a request the next is sent, in milliseconds. */
const AGAIN = 200

/**
 * A cluster need not be declared: a server without a key names the one that has it (Redis Cluster specification, "MOVED redirection"), and
 * then the whole topology is read. When something fails, it is read again, from other servers.
 */
export function createTopology({ seeds, clock, ask }: TopologyParts): Topology {
  /** The server of each slot, once it is known to be a cluster. */
  let slots: readonly (string | undefined)[] | undefined
  let home = seeds[0]
  let members: readonly string[] = seeds
  let asking = false
  let next: Timer | undefined
  let doubted = ''
  let closed = false
  const listeners: ((renewed: string | undefined) => void)[] = []

  const tell = (renewed?: string) => {
    for (const listener of listeners) listener(renewed)
  }

  function learnSoon(): void {
    if (asking || next !== undefined || closed) return
    learn().finally(() => {
      asking = false
      if (!closed) next = clock.after(AGAIN, onTimer)
    })
  }

  let wanted = false
  function onTimer(): void {
    next = undefined
    if (!wanted) return
    learnSoon()
  }

  /** Asks one server after the other, a suspect last: one that is cut off from the others would answer that nothing changed. */
  async function learn(): Promise<void> {
    asking = true
    wanted = false
    const all = [...new Set([...members, ...seeds])]
    for (const server of [...all.filter((one) => one !== doubted), ...all.filter((one) => one === doubted)]) {
      try {
        const reply = await ask(server)
        if (closed) return
        if (take(reply, server)) return
      } catch (error) {
        if (slots === undefined && isAlone(error)) {
          home = server
          tell()
          return
        }
      }
    }
  }

  function take(reply: Reply, asked: string): boolean {
    const found: (string | undefined)[] = Array.from({ length: SLOTS })
    const named = new Set<string>()
    for (const [from, to, ...servers] of lists(reply)) {
      const [master, ...replicas] = servers.map((server) => serverIn(server, asked))
      if (master === undefined) continue
      for (const server of [master, ...replicas]) if (server !== undefined) named.add(server)
      found.fill(master, Number(from), Number(to) + 1)
    }
    if (named.size === 0) return false
    const changed = found.some((server, slot) => server !== slots?.[slot])
    slots = found
    members = [...named]
    if (changed) tell()
    return true
  }

  function doubt(server: string): void {
    // A server that fails to answer is a suspect.
    if (asking || (slots === undefined && seeds.length === 1)) return
    doubted = server
    wanted = true
    learnSoon()
  }

  // It is not known yet which of them answers.
  if (seeds.length > 1) learnSoon()

  return {
    of: (key) => slots?.[slotOf(key)] ?? home,
    has: (server) => server === home || members.includes(server) || slots?.includes(server) === true,
    moved({ slot, server }) {
      const known: (string | undefined)[] = slots?.slice() ?? Array.from({ length: SLOTS })
      const before = known[slot]
      known[slot] = server
      slots = known
      wanted = true
      learnSoon()
      if (before !== server) tell()
    },
    doubt,
    renewed: tell,
    onChange: (listener) => void listeners.push(listener),
    close() {
      closed = true
      next?.stop()
    },
  }
}

/** The target of a redirection error; undefined for any other error. Without a host, it is that of the server that was asked. */
export function redirection(error: unknown, asked: string): (Moved & { readonly asking: boolean }) | undefined {
  if (!(error instanceof Error)) return undefined
  const [, word, slot, host, port] = /^(MOVED|ASK) (\d+) (.*):(\d+)$/.exec(error.message) ?? []
  if (word === undefined) return undefined
  return { asking: word === 'ASK', slot: Number(slot), server: named(host ?? '', Number(port), asked) }
}

function isAlone(error: unknown): boolean {
  return error instanceof Error && error.message.includes('cluster support disabled')
}

function serverIn(reply: Reply, asked: string): string | undefined {
  const [host, port] = lists([reply])[0] ?? []
  return typeof port === 'number' ? named(Buffer.isBuffer(host) ? host.toString() : '', port, asked) : undefined
}

function named(host: string, port: number, asked: string): string {
  if (host === '' || host === '?') return `${asked.slice(0, asked.lastIndexOf(':'))}:${port}`
  return host.includes(':') && !host.startsWith('[') ? `[${host}]:${port}` : `${host}:${port}`
}

function lists(reply: Reply | undefined): readonly (readonly Reply[])[] {
  return Array.isArray(reply) ? reply.filter((one) => Array.isArray(one)) : []
}
