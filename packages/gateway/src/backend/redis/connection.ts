import { createClient, RESP_TYPES } from 'redis'
import type { Clock } from '../../clock.ts'
import { WeirError } from '../../errors.ts'
import type { Script } from './script.ts'

/** What Redis answers, with texts as bytes. */
export type Reply = Buffer | number | null | readonly Reply[]

export interface ConnectionParts {
  /** `redis://host:port`, `rediss://…`, with user and password where there are some. */
  readonly url: string
  readonly clock: Clock
  /** Milliseconds in which every command is answered or has failed. */
  readonly deadline: number
  /** Told of errors of the connection; they are also in the failures of the commands. */
  readonly report: (error: unknown) => void
}

/** Redis, as far as it can be trusted: everything asked of it is answered or has failed by its deadline. */
export interface RedisConnection {
  /**
   * Runs a script. `late` gets an answer that comes after the deadline, for undoing what it did.
   *
   * @throws WeirError `backend_unavailable`
   */
  run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    late?: (reply: Reply) => void,
  ): Promise<Reply>
  /** Any other command. */
  command(args: readonly (string | Buffer)[]): Promise<Reply>
  close(): Promise<void>
}

/** After so many failures in a row nothing is asked for a while, but one probe at its end. Milliseconds. */
const FAILURES = 5
const REST = 500

/** A connection on which nothing came for so long is given up: a black hole tells nobody that it is one. */
export const SILENCE = 3000

/** Of answers that never come, so many are waited for: what is beyond would be memory that nothing bounds. */
const MOST_WAITING = 10_000

/** node-redis for the wire; deadlines, the breaker and what is safe to repeat are ours. */
export function connectRedis({ url, clock, deadline, report }: ConnectionParts): RedisConnection {
  const client = createClient({
    url,
    RESP: 2,
    disableOfflineQueue: true,
    commandsQueueMaxLength: MOST_WAITING,
    pingInterval: SILENCE / 3,
    // Its own timeout is not kept when the server stops (1.6 s were seen for 50 ms): ours is.
    commandOptions: { timeout: 0 },
    socket: {
      connectTimeout: 1000,
      socketTimeout: SILENCE,
      // Full jitter, so that all nodes do not come back in one moment.
      reconnectStrategy: (retries) => Math.random() * Math.min(1000, 25 * 2 ** Math.min(retries, 10)),
    },
  })
  reportOnce(client, report)
  const typeMapping = { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.SIMPLE_STRING]: Buffer }

  let failures = 0
  let restUntil = 0
  let probing = false
  let closed = false
  const connected = new Promise<void>((resolve) => client.once('ready', resolve))
  client.connect().catch(report)

  /** Whether to ask at all. */
  function refusal(): WeirError | undefined {
    if (closed) return new WeirError('backend_unavailable', 'Redis: expected an open connection, it was closed')
    if (failures < FAILURES) return undefined
    const now = clock.monotonic()
    if (now >= restUntil && !probing) {
      probing = true
      return undefined
    }
    const retryAfter = Math.max(1, restUntil - now)
    return new WeirError('backend_unavailable', `Redis: ${failures} commands failed in a row`, { retryAfter })
  }

  function failed(cause: unknown): WeirError {
    failures += 1
    if (failures >= FAILURES) restUntil = clock.monotonic() + REST
    const words = cause instanceof Error ? cause.message || cause.name : String(cause)
    return new WeirError('backend_unavailable', `Redis: ${words}`, { cause, retryAfter: REST })
  }

  /** Settled by the deadline whatever happens to the work; what comes later only `late` hears of. */
  function within(work: (signal: AbortSignal) => Promise<Reply>, late?: (reply: Reply) => void): Promise<Reply> {
    const refused = refusal()
    if (refused !== undefined) return Promise.reject(refused)
    return new Promise((resolve, reject) => {
      const controller = new AbortController()
      let over = false
      const end = () => {
        over = true
        probing = false
        timer.stop()
      }
      const timer = clock.after(deadline, () => {
        end()
        reject(failed(new Error(`no answer in ${deadline} ms`)))
        // Takes out what was not sent yet; what was sent Redis may still do, so every script bears that.
        controller.abort()
      })
      work(controller.signal).then(
        (reply) => {
          if (over) {
            // It lives: what was done too late can be undone at once, and the next command may try.
            failures = Math.min(failures, FAILURES - 1)
            late?.(reply)
            return
          }
          end()
          failures = 0
          resolve(reply)
        },
        (error) => {
          if (over) return
          end()
          reject(failed(error))
        },
      )
    })
  }

  async function send(args: readonly (string | Buffer)[], abortSignal: AbortSignal): Promise<Reply> {
    if (!client.isReady) await connected
    if (abortSignal.aborted) throw abortSignal.reason
    return client.sendCommand<Reply>([...args], { typeMapping, abortSignal, timeout: 0 })
  }

  return {
    run: ({ source, sha }, keys, args, late) =>
      within(async (signal) => {
        const rest = [String(keys.length), ...keys, ...args]
        try {
          return await send(['EVALSHA', sha, ...rest], signal)
        } catch (error) {
          // A restarted or flushed server does not know it any more; EVAL teaches it.
          if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
          return send(['EVAL', source, ...rest], signal)
        }
      }, late),

    command: (args) => within((signal) => send(args, signal)),

    async close() {
      closed = true
      if (client.isOpen) client.destroy()
    },
  }
}

/** Tells the first error of a connection that is lost, and not each attempt to have it back. */
export function reportOnce(client: Emitter, report: (error: unknown) => void): void {
  let told = false
  client.on('error', (error) => {
    if (!told) report(error)
    told = true
  })
  client.on('ready', () => {
    told = false
  })
}

interface Emitter {
  on(event: 'error' | 'ready', listener: (error: unknown) => void): unknown
}
