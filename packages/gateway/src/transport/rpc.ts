import { isUtf8 } from 'node:buffer'
import { crc32 } from 'node:zlib'
import type { Answer, AnswerHeaders, Call, MaybePromise } from '../call.ts'
import { accepts, WORTH_IT } from '../compress.ts'
import type { Encoding, Entry } from '../entry.ts'
import { asWeirError, problemOf, show, WeirError } from '../errors.ts'
import { parseToWrite, stringifyJson } from '../json.ts'
import { isRecord } from '../options.ts'
import type { FeedRuntime } from '../topic/feed/feed-runtime.ts'
import { PARAMS_EXPECTED, paramsText } from '../topic/rpc/params.ts'
import { nodeError } from '../topic/rpc/rpc.ts'
import { GZIP_HEAD, gzipEnd, gzipPiece } from './gzip.ts'
import { cacheStatus, inBand, type SnapshotParts } from './snapshot.ts'

export interface RpcParts extends SnapshotParts {
  /** Each method that may be called, as a feed. */
  readonly methods: ReadonlyMap<string, FeedRuntime>
  /** The most calls of one array. */
  readonly calls: number
  /** Bytes of the largest body. */
  readonly body: number
}

/** Errors of JSON-RPC 2.0, 5.1. */
const NO_JSON = -32700
const NO_CALL = -32600
const NO_METHOD = -32601
const BAD_PARAMS = -32602
const FAILED = -32603
/** What Solana's nodes say when they can't answer now and may later; clients know it as "node is unhealthy". */
const UNHEALTHY = -32005

/** What a call is answered. */
interface Reply {
  /** In JSON. A value stands in it as its entry, and goes out as the text it came as: parsed and written again, large numbers would lose digits. */
  readonly texts: readonly (string | Entry)[]
  /** Where it was answered with what is kept, or is from now on. */
  readonly of?: { readonly feed: FeedRuntime; readonly entry: Entry; readonly hit: boolean }
  /** Seconds. */
  readonly retryAfter?: number
}

/**
 * Answers one call of JSON-RPC 2.0, or an array of them in its order. All of an array are loaded together, and one that fails leaves the
 * others as they are. Notifications are answered nothing: there is nothing that one could do here.
 *
 * @throws WeirError `unsupported_type`, `body_too_large`
 */
export async function rpcAnswers(parts: RpcParts, call: Call): Promise<Answer> {
  checkType(call)
  const body = await call.body(parts.body)
  const said = read(body)
  if (!Array.isArray(said)) {
    const reply =
      said === undefined ? refusal('null', NO_JSON, 'Parse error: expected JSON') : await answerOf(parts, said, call)
    return reply === undefined ? NOTHING : whole(parts, call, reply.texts, [reply])
  }
  if (said.length === 0 || said.length > parts.calls) {
    const reply = refusal('null', NO_CALL, `Invalid request: expected 1 to ${parts.calls} calls, got ${said.length}`)
    return whole(parts, call, reply.texts, [reply])
  }
  const replies = (await Promise.all(said.map((one) => answerOf(parts, one, call)))).filter(
    (reply) => reply !== undefined,
  )
  if (replies.length === 0) return NOTHING
  const texts = replies.flatMap((reply, index) => [index === 0 ? '[' : ',', ...reply.texts])
  return whole(parts, call, [...texts, ']'], replies)
}

const NOTHING: Answer = { kind: 'whole', status: 204, headers: { 'cache-control': 'no-store' }, body: null }

/** A page of another site can send no such body without a preflight, and no preflight is allowed here. */
function checkType(call: Call): void {
  const type = call.header('content-type')
  const encoding = call.header('content-encoding') ?? 'identity'
  if (/^application\/json *(;|$)/i.test(type ?? '') && encoding === 'identity') return
  const got = encoding === 'identity' ? show(type) : `${show(type)} in ${show(encoding)}`
  throw new WeirError('unsupported_type', `expected application/json, got ${got}`)
}

/** Numbers as they were written, to be written again. Undefined for what is no JSON, or lies too deep to be read. */
function read(body: Uint8Array): unknown {
  if (!isUtf8(body)) return undefined
  try {
    return parseToWrite(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString())
  } catch {
    return undefined
  }
}

/** Undefined for a notification. @throws the reason of the call's signal, when the client is gone */
function answerOf(parts: RpcParts, said: unknown, call: Call): MaybePromise<Reply | undefined> {
  const given = isRecord(said) ? said : {}
  const id = idOf(given)
  const { method } = given
  if (given.jsonrpc !== '2.0' || typeof method !== 'string' || id === undefined) {
    const expected = 'expected jsonrpc "2.0", a method, and an id that is a text, a number or null'
    return refusal(id ?? 'null', NO_CALL, `Invalid request: ${expected}, got ${show(said)}`)
  }
  if (!Object.hasOwn(given, 'id')) return undefined
  const feed = parts.methods.get(method)
  if (feed === undefined) {
    const expected = `expected one of ${[...parts.methods.keys()].join(', ')}`
    return refusal(id, NO_METHOD, `Method not found: ${expected}, got ${show(method)}`)
  }
  const text = paramsText(given.params)
  if (text === undefined)
    return refusal(id, BAD_PARAMS, `Invalid params: ${PARAMS_EXPECTED}, got ${show(given.params)}`)
  const topic = `${feed.plan.path}?params=${encodeURIComponent(text)}`
  const kept = feed.hit(topic)
  if (kept !== undefined) return replyOf(id, { feed, entry: kept, hit: true })
  const failed = (thrown: unknown) => {
    // The client has left: neither this answer nor the others have a reader.
    if (call.signal.aborted && thrown === call.signal.reason) throw thrown
    return failure(id, asWeirError(thrown))
  }
  try {
    const readKey = feed.keyFrom({ params: text }, undefined)
    const entry = feed.read(readKey, { client: call.remote, signal: call.signal })
    if (!(entry instanceof Promise)) return replyOf(id, { feed, entry, hit: false })
    return entry.then((entry) => replyOf(id, { feed, entry, hit: false }), failed)
  } catch (thrown) {
    return failed(thrown)
  }
}

/** An id as it came, as JSON. Undefined for what is none. */
function idOf({ id }: Readonly<Record<string, unknown>>): string | undefined {
  if (id === undefined || id === null) return 'null'
  return typeof id === 'string' || typeof id === 'number' || JSON.isRawJSON(id) ? JSON.stringify(id) : undefined
}

function replyOf(id: string, of: NonNullable<Reply['of']>): Reply {
  const { absent, content } = of.entry
  // What is no value says itself, as the node did.
  const said = absent ? [`${HEAD}${content.reason}`] : [`${HEAD}"result":`, of.entry]
  return { texts: [...said, `,"id":${id}}`], of }
}

const HEAD = '{"jsonrpc":"2.0",'

/** Why there is no result: the error of the node, word for word, or one of ours where no node answered. */
function failure(id: string, error: WeirError): Reply {
  const { code, detail, retry, retryAfter } = problemOf(error)
  if (code === 'bad_key') return refusal(id, BAD_PARAMS, `Invalid params: ${detail}`, { code })
  const said = nodeError(error)
  if (said !== undefined) {
    const reply: Reply = { texts: [`${HEAD}"error":${stringifyJson(said)},"id":${id}}`] }
    return retryAfter === undefined ? reply : { ...reply, retryAfter }
  }
  const unhealthy = retry && code !== 'internal'
  // Nodes say with this code how far behind they are, and null where that is unknown.
  const data = { ...(unhealthy ? { numSlotsBehind: null } : {}), code, retry, retryAfter }
  const reply = refusal(id, unhealthy ? UNHEALTHY : FAILED, detail, data)
  return retryAfter === undefined ? reply : { ...reply, retryAfter }
}

function refusal(id: string, code: number, message: string, data?: object): Reply {
  return { texts: [`${HEAD}"error":${JSON.stringify({ code, message, data })},"id":${id}}`] }
}

const NO_BYTES = Buffer.alloc(0)
const PACKED: Encoding<Entry> = { name: 'gzip piece', encode: ({ content }) => gzipPiece(content.json ?? NO_BYTES) }

/** No cache keeps it, since it has the id of its caller. An answer to one call has an age; one to many calls has none. */
function whole(parts: RpcParts, call: Call, texts: Reply['texts'], replies: readonly Reply[]): Answer {
  const accepted = call.header('accept-encoding')
  const [first] = replies
  const of = replies.length === 1 ? first?.of : undefined
  const headers: AnswerHeaders =
    of === undefined
      ? { 'cache-control': 'no-store', 'weir-level': parts.level() }
      : { ...inBand(parts, of.feed, of.entry), 'cache-status': cacheStatus(of.feed.left(of.entry), of.hit) }
  headers['content-type'] = 'application/json'
  const retryAfter = Math.max(0, ...replies.map(({ retryAfter = 0 }) => retryAfter))
  if (retryAfter > 0) headers['retry-after'] = String(retryAfter)
  const parted = texts.map((text) => (typeof text === 'string' ? Buffer.from(text) : (text.content.json ?? NO_BYTES)))
  const length = parted.reduce((sum, bytes) => sum + bytes.length, 0)
  if (length < WORTH_IT || !accepts(accepted, 'gzip'))
    return { kind: 'whole', status: 200, headers, body: Buffer.concat(parted, length) }
  headers['content-encoding'] = 'gzip'
  // Each value is compressed once for all callers; only the envelope is made for one.
  const packed = texts.map((text) => (typeof text === 'string' ? gzipPiece(text) : text.encoded.as(PACKED)))
  const checksum = parted.reduce((sum, bytes) => crc32(bytes, sum), 0)
  const body = Buffer.concat([GZIP_HEAD, ...packed, gzipEnd(checksum, length)])
  return { kind: 'whole', status: 200, headers, body }
}
