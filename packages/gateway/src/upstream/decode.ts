import { PassThrough, Readable } from 'node:stream'
import { promisify } from 'node:util'
import {
  brotliDecompress,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
  gunzip,
  inflate,
  inflateRaw,
  zstdDecompress,
} from 'node:zlib'
import type { AnswerStream, Stage, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import { show, WeirError } from '../errors.ts'
import type { Mask } from './mask.ts'

/** What is asked for, where a client has nothing to say on it. */
const ASKED = 'gzip, deflate, br, zstd'

interface Coding {
  whole(bytes: Buffer, options: { maxOutputLength: number }): Promise<Buffer>
  stream(): NodeJS.ReadWriteStream & { destroy(error?: Error): unknown }
}

const inflated = promisify(inflate)
const inflatedRaw = promisify(inflateRaw)

/** `deflate` is zlib's format (RFC 9110, 8.4.1.2), and some send it without its head. */
const DEFLATE: Coding = {
  whole: (bytes, options) => inflated(bytes, options).catch((error) => rawUnless(error, bytes, options)),
  stream: () => createInflate(),
}

const GZIP: Coding = { whole: promisify(gunzip), stream: () => createGunzip() }

const CODINGS: Readonly<Record<string, Coding>> = {
  gzip: GZIP,
  'x-gzip': GZIP,
  deflate: DEFLATE,
  br: { whole: promisify(brotliDecompress), stream: () => createBrotliDecompress() },
  zstd: { whole: promisify(zstdDecompress), stream: () => createZstdDecompress() },
}

export interface DecodeParts {
  readonly upstream: string
  /** Bytes of the largest answer that is taken, also once it is decoded. */
  readonly maxResponse: number
  /** Covers secrets in errors. Where it covers any, an answer that a proxy passes on is read too. */
  readonly mask: Mask
}

/** An answer in plain bytes, and as it came where it may go on as that. */
export interface Decoded extends UpstreamAnswer {
  readonly encoded?: UpstreamAnswer
}

/**
 * Reads compressed answers (RFC 9110, 8.4), also those that were not asked for. What a proxy passes on stays as it came, unless it has to be
 * looked through. Then it is not asked for in parts: what is looked for might lie in two of them.
 */
export function decode({
  upstream,
  maxResponse,
  mask,
}: DecodeParts): Stage<UpstreamRequest, Promise<Decoded>, UpstreamRequest, Promise<UpstreamAnswer>> {
  return (next) => async (request) => {
    const passedOn = request.kept !== undefined
    if (passedOn && mask.isEmpty) return next(request)
    const answer = await next({ ...request, headers: headersFor(request.headers, passedOn) })
    const codings = codingsOf(answer, mask)
    const { stream } = answer
    if (codings.length === 0 || (answer.body.length === 0 && stream === undefined)) return answer
    const unknown = codings.find((name) => CODINGS[name] === undefined)
    if (unknown !== undefined) {
      await stream?.body.cancel()
      throw new WeirError('upstream_invalid', `${upstream}: expected one of ${ASKED}, got ${show(unknown)}`)
    }
    // They were applied in the order in which they are named.
    const undone = codings.toReversed().map((name) => CODINGS[name] as Coding)
    const headers = plainHeaders(answer.headers)
    if (stream !== undefined) {
      const weak = headers.etag?.startsWith('"') ? { etag: `W/${headers.etag}` } : {}
      return { ...answer, headers: { ...headers, ...weak }, stream: streamOf(undone, stream) }
    }
    let { body } = answer
    for (const { whole } of undone) {
      body = await whole(body, { maxOutputLength: maxResponse }).catch((error) => {
        const tooLarge = error.code === 'ERR_BUFFER_TOO_LARGE'
        const expected = tooLarge ? `at most ${maxResponse} bytes, got more` : `${codings.join()}, got ${error.message}`
        throw new WeirError('upstream_invalid', `${upstream}: expected ${expected}`)
      })
    }
    const plain = { ...answer, headers: { ...headers, 'content-length': String(body.length) }, body }
    return passedOn ? { ...plain, encoded: answer } : plain
  }
}

function headersFor(headers: UpstreamRequest['headers'], passedOn: boolean): UpstreamRequest['headers'] {
  if (!passedOn) return headers['accept-encoding'] === undefined ? { ...headers, 'accept-encoding': ASKED } : headers
  const { range: _range, 'if-range': _ifRange, ...others } = headers
  return others
}

/** Secrets are covered before the names are split, cut or changed in case. */
function codingsOf({ headers }: UpstreamAnswer, mask: Mask): string[] {
  const named = mask
    .text(headers['content-encoding'] ?? '')
    .toLowerCase()
    .split(',')
  return named.map((name) => name.trim()).filter((name) => name !== '' && name !== 'identity')
}

/** What proves the bytes as they came goes. */
function plainHeaders(headers: UpstreamAnswer['headers']): Record<string, string> {
  const plain = { ...headers }
  for (const name of ['content-encoding', 'content-length', 'content-md5', 'content-digest', 'digest', 'accept-ranges'])
    delete plain[name]
  return plain
}

function streamOf(codings: readonly Coding[], { body, over }: AnswerStream): AnswerStream {
  const source = Readable.fromWeb(body as import('node:stream/web').ReadableStream)
  const decoded = codings.reduce<NodeJS.ReadableStream>((from, { stream }) => {
    const into = stream()
    from.on('error', (error: Error) => into.destroy(error))
    return from.pipe(into)
  }, source)
  const out = decoded.pipe(new PassThrough())
  decoded.on('error', (error: Error) => {
    source.destroy(error)
    out.destroy(error)
  })
  out.on('close', () => source.destroy())
  return { body: Readable.toWeb(out) as unknown as ReadableStream<Uint8Array>, over }
}

function rawUnless(error: { readonly code?: string }, bytes: Buffer, options: { maxOutputLength: number }) {
  return error.code === 'ERR_BUFFER_TOO_LARGE' ? Promise.reject(error) : inflatedRaw(bytes, options)
}
