import type { Clock } from '../../clock.ts'
import { WeirError } from '../../errors.ts'
import type { Script } from './script.ts'
import { type Command, openServer, type Reply, type Server } from './server.ts'
import { createTopology, redirection, type Topology } from './topology.ts'
import type { RedisAddress } from './url.ts'

export interface ConnectionParts {
  readonly address: RedisAddress
  readonly ca: string | undefined
  readonly clock: Clock
  /** Milliseconds in which every command is answered or has failed. */
  readonly deadline: number
  /** Called with errors of the connection. They are also in the failures of the commands. */
  readonly report: (error: unknown) => void
}

/** Redis, one server or a cluster. Every command is answered or has failed by its deadline. */
export interface RedisConnection {
  /**
   * Runs a script on the server of its keys, which have one hash tag. `late` gets a reply that comes after the deadline, to undo what it did.
   *
   * @throws WeirError `backend_unavailable`
   */
  run(
    script: Script,
    keys: readonly [string, ...string[]],
    args: readonly (string | Buffer)[],
    late?: (reply: Reply) => void,
  ): Promise<Reply>
  /** Any other command, sent to the server of this key or channel. */
  command(key: string, command: Command): Promise<Reply>
  /** Which server has which key. */
  readonly shards: Topology
  close(): Promise<void>
}

/**
 * A deadline that is noticed this many milliseconds late was missed by this process, which may not even have sent the command: it starts
 * again.
 */
const BUSY = 50

/** How many redirections are followed for a key: while slots move, some servers know better than others. */
const MOST_REDIRECTIONS = 5

/**
 * Each server has a connection and a breaker of its own, so that a dead server costs only its own keys. node-redis's own client for
 * clusters is not used (ARCHITECTURE.md, Decisions).
 */
export function connectRedis({ address, ca, clock, deadline, report }: ConnectionParts): RedisConnection {
  const servers = new Map<string, Server>()
  const asked = new Set<Promise<Reply>>()
  let closed = false
  const shards = createTopology({
    seeds: address.seeds,
    clock,
    ask: (server) => ask(server, (at, signal) => at.send(['CLUSTER', 'SLOTS'], signal, false)),
  })
  shards.onChange(() => {
    for (const [name, server] of servers) {
      if (shards.has(name)) continue
      servers.delete(name)
      server.close()
    }
  })
  serverAt(address.seeds[0])

  function serverAt(name: string): Server {
    const known = servers.get(name)
    if (known !== undefined) return known
    const entry = { url: address.urlOf(name), ca }
    const server = openServer({ address: name, entry, clock, report })
    servers.set(name, server)
    return server
  }

  type Attempt = (server: Server, signal: AbortSignal, asking: boolean) => Promise<Reply>

  /** Settled by the deadline in any case. A later reply only goes to `late`. */
  function ask(first: string, attempt: Attempt, late?: (reply: Reply) => void): Promise<Reply> {
    const one = begin(first, attempt, late).finally(() => asked.delete(one))
    asked.add(one)
    return one
  }

  function begin(first: string, attempt: Attempt, late?: (reply: Reply) => void): Promise<Reply> {
    if (closed) {
      return Promise.reject(new WeirError('backend_unavailable', 'Redis: expected an open connection, it was closed'))
    }
    const { breaker } = serverAt(first)
    const refused = breaker.refusal()
    if (refused !== undefined) {
      shards.doubt(first)
      return Promise.reject(refused)
    }
    return new Promise((resolve, reject) => {
      const controller = new AbortController()
      let server = serverAt(first)
      let over = false
      const end = () => {
        over = true
        breaker.over()
        timer.stop()
      }
      const fail = (cause: unknown) => {
        end()
        reject(server.breaker.failed(cause))
        shards.doubt(server.address)
      }
      const expire = () => {
        if (over) return
        const now = clock.monotonic()
        if (now - due > BUSY) {
          due = now + deadline
          timer = clock.after(deadline, () => clock.soon(expire))
          return
        }
        fail(new Error(`no answer in ${deadline} ms`))
        // Removes what was not sent yet. Redis may still run what was sent, so every script tolerates that.
        controller.abort()
      }
      let due = clock.monotonic() + deadline
      // Replies that came while this process was busy are read first.
      let timer = clock.after(deadline, () => clock.soon(expire))
      async function follow(): Promise<Reply> {
        let asking = false
        for (let turn = 0; ; turn++) {
          try {
            return await attempt(server, controller.signal, asking)
          } catch (error) {
            const to = redirection(error, server.address)
            if (to === undefined || turn === MOST_REDIRECTIONS || over) throw error
            server.breaker.answered()
            asking = to.asking
            if (!asking) shards.moved(to)
            server = serverAt(to.server)
          }
        }
      }
      follow().then(
        (reply) => {
          if (over) {
            // A script that ran too late can be undone at once.
            server.breaker.answeredLate()
            late?.(reply)
            return
          }
          end()
          server.breaker.answered()
          resolve(reply)
        },
        (error) => {
          if (over) return
          fail(error)
          // The caller goes on without a reply. That Redis refuses commands of nodes is for the operator to mend.
          if (refusesUser(error)) report(error)
          // The server is healthy: the slot is moving from one server to another.
          if (says(error, 'TRYAGAIN')) server.breaker.answered()
          // The former master is a replica now, and its address may lead to another server: only a new connection shows that.
          if (says(error, 'READONLY') && server.renew()) shards.renewed(server.address)
        },
      )
    })
  }

  return {
    shards,

    run({ source, sha }, keys, args, late) {
      const rest = [String(keys.length), ...keys, ...args]
      const attempt: Attempt = async (server, signal, asking) => {
        try {
          return await server.send(['EVALSHA', sha, ...rest], signal, asking)
        } catch (error) {
          // A restarted or flushed server does not know the script. EVAL sends it.
          if (!says(error, 'NOSCRIPT')) throw error
          return server.send(['EVAL', source, ...rest], signal, asking)
        }
      }
      return ask(shards.of(keys[0]), attempt, late)
    },

    command: (key, command) => ask(shards.of(key), (server, signal, asking) => server.send(command, signal, asking)),

    async close() {
      closed = true
      shards.close()
      // The last commands still get through, such as those that give leases back.
      await Promise.allSettled(asked)
      for (const server of servers.values()) server.close()
    },
  }
}

/** Whether it refuses a command for lack of a permission or of memory, and not for its content. */
function refusesUser(error: unknown): boolean {
  return ['NOPERM', 'NOAUTH', 'OOM', 'MISCONF'].some((code) => says(error, code))
}

function says(error: unknown, code: string): boolean {
  return error instanceof Error && error.message.startsWith(code)
}
