import { isUtf8 } from 'node:buffer'
import { type RawData, WebSocket } from 'ws'
import type { Clock, Timer } from '../../clock.ts'
import { show, withoutSecrets } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import { parseJson, stringifyJson } from '../../json.ts'
import { isRecord } from '../../options.ts'
import { waitOf } from '../../rate-limit-wait.ts'
import { maskOf } from '../redact.ts'
import { secretsOfHeaders, secretsOfMessage, secretsOfSubscription, secretsOfUrl } from '../secrets.ts'
import { isSocketAddress, type PushLinkPlan, type PushListener, type PushSource, type PushToken } from './push.ts'

export interface PushConnectionParts {
  readonly feed: string
  readonly plan: PushLinkPlan
  readonly listener: PushListener
  readonly clock: Clock
  readonly emit: Emit
  /** From 0 to 1, for the jitter between connections. */
  readonly random: () => number
}

/** What is asked for. Its id and token are of the connection of now. */
interface Subscription {
  readonly name: string
  /** The keys that it is for, by topic. */
  readonly keys: Map<string, unknown>
  /** One of them, also when all are gone. */
  readonly key: unknown
  id: number
  token: PushToken | undefined
  state: 'waiting' | 'sent' | 'live' | 'refused'
  /** When it was sent, on the monotonic clock. */
  sentAt: number
  /** When anything was last heard of it. */
  toldAt: number
  /** It may be lost, though the connection is not. */
  doubt: Timer | undefined
}

/** After a break it is tried again within this time, twice as much after each that fails, and at most the other. */
const FIRST_PAUSE = 500
const LONGEST_PAUSE = 30_000

/** The longest that a refused handshake is believed to ask for, in milliseconds. */
const LONGEST_WAIT = 5 * 60_000

/** What was found changed by asking is to be heard of within this time, in milliseconds: the answer may only have been quicker. */
const MAY_FOLLOW = 2000

/** Secrets of subscriptions that are covered: one for all of them is the rule. */
const MOST_SHOWN = 50

/** The largest message that is taken, in bytes. */
const LARGEST_MESSAGE = 16 * 1024 * 1024

/** One WebSocket to an upstream, as long as anything is asked for there. */
export function createPushConnection({ feed, plan, listener, clock, emit, random }: PushConnectionParts): PushSource {
  const subscriptions = new Map<string, Subscription>()
  /** By topic. */
  const wanted = new Map<string, Subscription>()
  const byId = new Map<number, Subscription>()
  const byToken = new Map<PushToken, Subscription>()
  /** Messages in the order in which they are to be sent; made when their turn comes. */
  let outbox: (() => unknown)[] = []
  let allowed = 0
  let counted = clock.monotonic()
  let sending: Timer | undefined
  let socket: WebSocket | undefined
  let connecting = false
  let retry: Timer | undefined
  let watch: Timer | undefined
  let failures = 0
  /** Why the connection of now is given up, and after how long at least there may be another. */
  let over: { readonly why: string; readonly after: number } | undefined
  let ids = 0
  /** Covers what of address, headers and first messages of now nobody may read. */
  let secrets: readonly string[] = []
  let mask = maskOf(secrets)
  /** What was said of us in subscriptions. */
  const shown = new Set<string>()
  let heardAt = Number.NEGATIVE_INFINITY
  let stopped = false

  function wake(): void {
    if (stopped || connecting || socket !== undefined || retry !== undefined || wanted.size === 0) return
    connecting = true
    Promise.resolve()
      .then(plan.url)
      .then(connect)
      .catch((thrown) => lost(undefined, withoutAddresses(thrown instanceof Error ? thrown.message : String(thrown))))
  }

  function connect(url: string): void {
    connecting = false
    if (stopped || wanted.size === 0) return
    if (!isSocketAddress(url)) throw new Error(`expected a ws: or wss: address, got ${withoutSecrets(url)}`)
    const { headers, silenceTimeout } = plan
    secrets = [...secretsOfUrl(new URL(url)), ...secretsOfHeaders(headers)]
    mask = maskOf(secrets)
    const one = new WebSocket(url, { headers, handshakeTimeout: silenceTimeout, maxPayload: LARGEST_MESSAGE })
    socket = one
    let why = 'closed'
    one.on('open', () => begin(one))
    one.on('message', (data) => {
      if (one === socket) hear(data)
    })
    one.on('pong', heard)
    one.on('ping', heard)
    one.on('error', ({ message }) => {
      why = message
    })
    one.on('unexpected-response', (_request, { statusCode, headers }) => {
      const fields = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
      const after = Math.min(LONGEST_WAIT, waitOf(fields, clock.now()) ?? 0)
      over = { why: `answered ${statusCode}`, after }
      one.terminate()
    })
    one.on('close', (code) => lost(one, code === 1006 ? why : `closed with ${code}`))
  }

  function begin(one: WebSocket): void {
    if (one !== socket) return
    emit({ type: 'push.connected', feed })
    heard()
    // As much at once as a connection takes, beside what it takes in a second.
    allowed = Math.max(allowed, plan.burst - plan.messageRate)
    const greetings = plan.greet()
    secrets = [...secrets, ...greetings.flatMap(secretsOfMessage)]
    mask = maskOf([...secrets, ...shown])
    outbox = greetings.map((message) => () => message)
    for (const one of subscriptions.values()) ask(one)
    watch = clock.after(plan.silenceTimeout / 2, look)
    flush()
  }

  function ask(one: Subscription): void {
    byId.delete(one.id)
    one.state = 'waiting'
    outbox.push(() => {
      if (subscriptions.get(one.name) !== one) return undefined
      ids += 1
      Object.assign(one, { id: ids, token: undefined, state: 'sent', sentAt: clock.monotonic() })
      byId.set(one.id, one)
      const message = plan.subscribe(one.key, one.id)
      cover(message, one.key)
      if (!plan.acknowledges) live(one)
      return message
    })
  }

  /** What a subscription says of us is covered in all that comes from now on. */
  function cover(message: unknown, key: unknown): void {
    const found = secretsOfSubscription(message, key).filter((secret) => !shown.has(secret))
    if (found.length === 0 || shown.size >= MOST_SHOWN) return
    for (const secret of found) shown.add(secret)
    mask = maskOf([...secrets, ...shown])
  }

  function live(one: Subscription): void {
    if (one.state === 'live') return
    one.state = 'live'
    // After the message is sent: who asks now asks for what comes after the subscription.
    clock.soon(() => {
      if (one.state === 'live') for (const topic of one.keys.keys()) listener.began(topic)
    })
  }

  /** Sends what may be sent now. */
  function flush(): void {
    if (socket?.readyState !== WebSocket.OPEN) return
    const now = clock.monotonic()
    allowed = Math.min(plan.burst, allowed + ((now - counted) * plan.messageRate) / 1000)
    counted = now
    while (outbox.length > 0 && allowed >= 1) {
      const text = said(outbox.shift())
      if (text === undefined) continue
      socket.send(text)
      allowed -= 1
    }
    if (outbox.length === 0 || sending !== undefined) return
    sending = clock.after(Math.max(1, ((1 - allowed) * 1000) / plan.messageRate), () => {
      sending = undefined
      flush()
    })
  }

  /** What it gives, or nothing: what one message does harms no other. */
  function guarded<Given>(run: () => Given): Given | undefined {
    try {
      return run()
    } catch (error) {
      emit({ type: 'failed', where: `push of ${feed}`, error })
      return undefined
    }
  }

  function said(make: (() => unknown) | undefined): string | undefined {
    return guarded(() => {
      const message = make?.()
      return message === undefined ? undefined : stringifyJson(message)
    })
  }

  function heard(): void {
    heardAt = clock.monotonic()
  }

  function hear(data: RawData): void {
    heard()
    // Not before: one that takes a connection and drops it at once must not be called in a loop.
    failures = 0
    guarded(() => {
      if (Buffer.isBuffer(data) && !isUtf8(data)) throw new TypeError('expected a message in UTF-8, got other bytes')
      const given = plan.read(parseJson(mask.text(String(data))))
      for (const news of Array.isArray(given) ? given : [given]) if (news !== undefined) take(news)
    })
  }

  function take(news: unknown): void {
    if (!isRecord(news)) throw new TypeError(`read: expected news, got ${show(news)}`)
    if (typeof news.accepted === 'number') {
      const one = byId.get(news.accepted)
      if (one === undefined) return
      const { token } = news
      if (typeof token === 'string' || typeof token === 'number' || typeof token === 'bigint') one.token = token
      if (subscriptions.get(one.name) === one) {
        if (one.token !== undefined) byToken.set(one.token, one)
        live(one)
      } else end(one)
    } else if (typeof news.over === 'string') {
      over = { why: news.over, after: typeof news.after === 'number' ? news.after : 0 }
      socket?.terminate()
    } else if (typeof news.refused === 'number') {
      refuse(byId.get(news.refused), String(news.reason))
    } else {
      const { value } = news
      const topics = 'token' in news ? byToken.get(news.token as PushToken)?.keys.keys() : [listener.topicOf(news.key)]
      for (const topic of topics ?? []) guarded(() => tell(topic, value))
    }
  }

  function tell(topic: string, given: unknown): void {
    // One that nobody watches, or was left while this was on its way.
    const one = wanted.get(topic)
    if (one === undefined) return
    one.toldAt = clock.monotonic()
    const value = typeof given === 'function' ? given(one.keys.get(topic)) : given
    if (value === undefined) listener.changed(topic)
    else listener.came(topic, value)
  }

  /** It is asked for anew: the upstream has forgotten it, or what it says of it does not come. */
  function again(one: Subscription): void {
    one.doubt = undefined
    if (one.state !== 'live' || subscriptions.get(one.name) !== one) return
    const [topic = one.name] = one.keys.keys()
    emit({ type: 'push.refused', feed, topic, reason: 'expected to hear of a change, heard nothing' })
    if (one.token !== undefined) byToken.delete(one.token)
    end(one)
    ask(one)
    flush()
  }

  function end(one: Subscription): void {
    const { id, token, key } = one
    byId.delete(id)
    outbox.push(() => plan.unsubscribe?.(key, id, token))
    flush()
  }

  function refuse(one: Subscription | undefined, reason: string): void {
    if (one === undefined) return
    one.state = 'refused'
    const [topic = one.name] = one.keys.keys()
    emit({ type: 'push.refused', feed, topic, reason })
  }

  function look(): void {
    const now = clock.monotonic()
    watch = clock.after(plan.silenceTimeout / 2, look)
    for (const one of subscriptions.values()) {
      if (one.state === 'sent' && now - one.sentAt >= plan.silenceTimeout)
        refuse(one, 'expected it to be accepted, got nothing')
      // What was refused may have been too much at that moment.
      if (one.state === 'refused' && now - one.sentAt >= plan.revalidateEvery) ask(one)
    }
    flush()
    if (now - heardAt >= plan.silenceTimeout) socket?.terminate()
    else if (socket?.readyState === WebSocket.OPEN) socket.ping()
  }

  function lost(one: WebSocket | undefined, why: string): void {
    if (one !== socket) return
    connecting = false
    socket = undefined
    reset()
    if (stopped || wanted.size === 0) return
    emit({ type: 'push.lost', feed, why: mask.text(over?.why ?? why) })
    // Full jitter: whoever lost the same upstream does not come back in step.
    const pause = (over?.after ?? 0) + random() * Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures)
    failures += 1
    over = undefined
    retry = clock.after(pause, () => {
      retry = undefined
      wake()
    })
  }

  function reset(): void {
    watch?.stop()
    sending?.stop()
    sending = undefined
    outbox = []
    byId.clear()
    byToken.clear()
    for (const one of subscriptions.values()) {
      one.state = 'waiting'
      one.doubt?.stop()
      one.doubt = undefined
    }
  }

  function close(): void {
    const one = socket
    socket = undefined
    retry?.stop()
    retry = undefined
    reset()
    one?.close(1000)
  }

  return {
    follow(topic, key) {
      if (stopped || wanted.has(topic)) return
      const name = plan.shared === undefined ? topic : guarded(() => plan.shared?.(key))
      if (name === undefined) return
      const known = subscriptions.get(name)
      if (known !== undefined) {
        known.keys.set(topic, key)
        wanted.set(topic, known)
        // Until now it was nobody's, and what was said of it was not taken.
        if (known.state === 'live') listener.began(topic)
        return
      }
      if (subscriptions.size >= plan.maxSubscriptions) return
      const keys = new Map([[topic, key]])
      const one: Subscription = {
        name,
        keys,
        key,
        id: 0,
        token: undefined,
        state: 'waiting',
        sentAt: 0,
        toldAt: 0,
        doubt: undefined,
      }
      subscriptions.set(name, one)
      wanted.set(topic, one)
      if (socket?.readyState === WebSocket.OPEN) {
        ask(one)
        flush()
      } else wake()
    },

    leave(topic) {
      const one = wanted.get(topic)
      if (one === undefined) return
      wanted.delete(topic)
      one.keys.delete(topic)
      if (one.keys.size > 0) return
      one.doubt?.stop()
      subscriptions.delete(one.name)
      byId.delete(one.id)
      if (one.token !== undefined) byToken.delete(one.token)
      if (wanted.size === 0) {
        close()
        return
      }
      // Before it is accepted it has no name by which to end it.
      if (one.state === 'sent' && plan.acknowledges) byId.set(one.id, one)
      else if (one.state === 'sent' || one.state === 'live') end(one)
    },

    revalidateEvery: plan.revalidateEvery,
    tells(topic) {
      const state = wanted.get(topic)?.state
      return plan.tells && socket?.readyState === WebSocket.OPEN && state !== undefined && state !== 'refused'
    },
    hears(topic) {
      const one = wanted.get(topic)
      return one?.state === 'live' && one.doubt === undefined && clock.monotonic() - heardAt < plan.silenceTimeout
    },

    doubt(topic, asked) {
      const one = wanted.get(topic)
      if (one?.state !== 'live' || one.doubt !== undefined || one.toldAt >= asked) return
      one.doubt = clock.after(MAY_FOLLOW, () => {
        if (one.toldAt < asked) again(one)
        else one.doubt = undefined
      })
    },

    heardAt: () => heardAt,

    stop() {
      stopped = true
      close()
    },
  }
}

/** Words in which no address shows more than where it leads. */
function withoutAddresses(text: string): string {
  return text.replace(/[a-z][a-z\d+.-]*:\/\/\S+/gi, withoutSecrets)
}
