import { connect } from 'node:net'
import { deflateRawSync } from 'node:zlib'
import { clientFrame, handshake, OPCODE } from './raw-socket.ts'

/** What came of it. */
export interface Fuzzed {
  readonly inputs: number
  /** Connections by how they ended: the status of HTTP, or the close code of a WebSocket, or `cut`. */
  readonly endings: Readonly<Record<string, number>>
  /** Connections that the server had not ended in time, as what was sent, in base64. */
  readonly hung: readonly string[]
  /** Connections on which all that was said could be read, and the last question had no answer. */
  readonly unanswered: readonly string[]
}

/** How long a server may take to end a connection whose client has ended its side, in milliseconds. */
const PATIENCE = 10_000

/** Connections at once. */
const AT_ONCE = 16

/** The most requests or frames of its own making on each connection. */
const EACH = 10

/**
 * Says random and mutated things to a server, on WebSockets and over HTTP, from a seed: the same seed says the same. Every connection
 * is over when it has spoken, and the server has to end its side.
 */
export async function fuzz(url: string, seed: number, inputs: number): Promise<Fuzzed> {
  const endings: Record<string, number> = {}
  const hung: string[] = []
  const unanswered: string[] = []
  const { port } = new URL(url)
  let done = 0

  async function run(random: Random): Promise<void> {
    while (done < inputs) {
      const talk = make(random)
      done += talk.inputs
      const { text, ended } = await speak(Number(port), talk)
      const ending = endingOf(text)
      endings[ending] = (endings[ending] ?? 0) + 1
      if (!ended) hung.push(talk.bytes.toString('base64'))
      else if (talk.question !== undefined && !text.includes(talk.question) && ending === 'cut')
        unanswered.push(talk.bytes.toString('base64'))
    }
  }

  await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => run(new Random(seed * AT_ONCE + index))))
  return { inputs: done, endings, hung, unanswered }
}

interface Talk {
  readonly bytes: Buffer
  /** Requests, handshakes and frames that it is made of. */
  readonly inputs: number
  /** What the answer to its last message has in it, where it is sure to be read. */
  readonly question?: string
}

function make(random: Random): Talk {
  const kind = random.below(10)
  if (kind < 2) return joined(times(random, () => random.mutated(Buffer.from(random.one(REQUESTS)))))
  if (kind === 2) return joined([random.mutated(Buffer.from(handshake()))])
  const deflates = random.below(2) === 0
  const opening = Buffer.from(handshake('/weir/ws', deflates ? ['sec-websocket-extensions: permessage-deflate'] : []))
  if (kind < 6) {
    const id = `q${random.below(1e9)}`
    const frames = times(random, () => frameOf(message(random), deflates && random.below(2) === 0))
    const question = clientFrame(JSON.stringify({ type: 'ping', id }))
    return { ...joined([opening, ...frames, question, CLOSE]), question: `"id":"${id}"` }
  }
  const frames = times(random, () => {
    const frame = wild(random, deflates)
    return random.below(3) === 0 ? random.mutated(frame) : frame
  })
  return joined([opening, ...frames])
}

function joined(parts: readonly Buffer[]): Talk {
  return { bytes: Buffer.concat(parts), inputs: parts.length }
}

const CLOSE = clientFrame(Buffer.from([0x03, 0xe8]), { opcode: OPCODE.close })

function times<Made>(random: Random, one: () => Made): Made[] {
  return Array.from({ length: 1 + random.below(EACH) }, one)
}

/** A text that can be framed, whatever is in it. */
function message(random: Random): Buffer {
  const text = Buffer.from(random.one(MESSAGES))
  const how = random.below(4)
  if (how === 0) return text
  if (how === 1) return Buffer.from(JSON.stringify(value(random, 4)))
  // Mutated, but still UTF-8: what is not is a frame gone wrong.
  return Buffer.from(random.mutated(text).toString('latin1'))
}

function value(random: Random, depth: number): unknown {
  const kind = random.below(depth === 0 ? 6 : 8)
  if (kind === 6) return Array.from({ length: random.below(4) }, () => value(random, depth - 1))
  if (kind === 7)
    return Object.fromEntries(
      Array.from({ length: random.below(5) }, () => [random.one(WORDS), value(random, depth - 1)]),
    )
  return [null, true, random.below(1e9), -random.below(3) / 7, random.one(WORDS), random.one(TOPICS)][kind]
}

function frameOf(payload: Buffer, deflated: boolean): Buffer {
  if (!deflated) return clientFrame(payload)
  return clientFrame(Buffer.concat([deflateRawSync(payload), Buffer.from([0])]), { reserved: 4 })
}

/** A frame of any kind, right or wrong. */
function wild(random: Random, deflates: boolean): Buffer {
  const payload = random.below(2) === 0 ? random.bytes(random.below(200)) : message(random)
  if (random.below(10) === 0) return random.bytes(1 + random.below(300))
  if (random.below(3) === 0) return frameOf(payload, deflates)
  return clientFrame(payload, {
    opcode: random.one([0, 0, 1, 1, 1, 2, 8, 9, 9, 10, random.below(16)]),
    fin: random.below(3) > 0,
    reserved: random.one([0, 0, 0, 0, 4, random.below(8)]),
    masked: random.below(12) > 0,
    ...(random.below(12) === 0 ? { length: random.one([0, 125, 126, 65_535, 65_536, 2 ** 31, 2 ** 40]) } : {}),
  })
}

/** Sends it all, and reads until the server has ended the connection. */
function speak(port: number, { bytes, question }: Talk): Promise<{ readonly text: string; readonly ended: boolean }> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    const socket = connect({ port, host: '127.0.0.1' })
    let ended = true
    const late = setTimeout(() => {
      ended = false
      socket.destroy()
    }, PATIENCE)
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(late)
      resolve({ text: Buffer.concat(chunks).toString('latin1'), ended })
    })
    // Who asks says goodbye in words, and stays to hear the answer.
    if (question === undefined) socket.end(bytes)
    else socket.write(bytes)
  })
}

function endingOf(text: string): string {
  const status = /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]
  if (status === undefined) return 'cut'
  if (status !== '101') return `HTTP ${status}`
  for (let at = text.indexOf('\r\n\r\n') + 4; at < text.length; ) {
    const [head, short, high, low] = [0, 1, 2, 3].map((offset) => text.charCodeAt(at + offset)) as [
      number,
      number,
      number,
      number,
    ]
    if (head === 0x88) return short < 2 ? 'close' : `close ${high * 256 + low}`
    // Nothing here is longer than 64 KB.
    at += short === 126 ? 4 + high * 256 + low : 2 + short
  }
  return 'cut'
}

const TOPICS = [
  '/values/a',
  '/values/b',
  '/values/%E2%82%AC',
  '/values/a?b=c',
  '/values',
  '/',
  '',
  '/weir/ws',
  '//',
  '/values/a#tenant=x',
  '/values/%',
  '/said/a',
  '\u0000',
]
const WORDS = [
  'type',
  'topic',
  'id',
  'since',
  'patches',
  'subscribe',
  'get',
  '__proto__',
  'constructor',
  'toString',
  '1:1',
  '',
  'é€😀',
]
const MESSAGES = [
  ...TOPICS.map((topic) => JSON.stringify({ type: 'subscribe', topic })),
  '{"type":"subscribe","topic":"/values/a","since":"1:1","patches":false,"id":"x"}',
  '{"type":"unsubscribe","topic":"/values/a"}',
  '{"type":"get","id":1,"topic":"/values/a"}',
  '{"type":"get","id":"\\ud800","topic":"/values/\\ud800"}',
  '{"type":"publish","id":1,"topic":"/values/a","event":{"a":[1,2,3]}}',
  '{"type":"publish","id":1,"topic":"/said/a","event":{"a":[1,12345678901234567890]}}',
  '{"type":"subscribe","topic":"/said/a","since":"1:1"}',
  '{"type":"get","id":2,"topic":"/said/a"}',
  '{"type":"ping","id":9007199254740993}',
  '{"__proto__":{"type":"ping"}}',
  `${'['.repeat(5000)}${']'.repeat(5000)}`,
]
const REQUESTS = [
  ...TOPICS.map((topic) => `GET ${topic === '' ? '/' : topic} HTTP/1.1\r\nhost: x\r\n\r\n`),
  'GET /values/a?as=poll&after=1:1&wait=1ms HTTP/1.1\r\nhost: x\r\naccept-encoding: br, gzip\r\n\r\n',
  'GET /values/a?as=sse HTTP/1.1\r\nhost: x\r\nlast-event-id: 1:1\r\n\r\n',
  'GET /weir/values?topic=/values/a&topic=%2Fvalues%2Fb HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET /weir/stream?topic=/values/a HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET /said/a?after=1:1&most=3 HTTP/1.1\r\nhost: x\r\n\r\n',
  'POST /said/a HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n{"a":1}',
  'POST /values/a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello',
  'POST /weir/ws HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'HEAD /weir/openapi.json HTTP/1.0\r\n\r\n',
]

/** Numbers that look random and follow from a seed (mulberry32). */
class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }

  one<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)))
  }

  /** With a few bytes changed, cut, doubled, or put in. */
  mutated(given: Buffer): Buffer {
    let bytes = Buffer.from(given)
    for (let count = 1 + this.below(3); count > 0; count -= 1) {
      const at = this.below(bytes.length + 1)
      const to = Math.min(bytes.length, at + this.below(8))
      const [before, after] = [bytes.subarray(0, at), bytes.subarray(to)]
      const between = this.one([
        () => this.bytes(to - at),
        () => Buffer.alloc(0),
        () => Buffer.concat([bytes.subarray(at, to), bytes.subarray(at, to)]),
        () => this.bytes(this.below(8)),
      ])()
      bytes = Buffer.concat([before, between, after])
    }
    return bytes
  }
}
