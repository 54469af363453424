import { hash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { lookup } from 'mrmime'
import type { Answer, Call } from '../call.ts'
import { COMPRESSIONS, chooseCompression } from '../compress.ts'
import { ConfigError, WeirError } from '../errors.ts'

/** The files of a built page, read once: a page is small, and the disk may go. */
export interface Page {
  /** Whether there is a file at this path. */
  has(path: string): boolean
  /** The file at the address of the call. @throws WeirError `not_found` */
  serve(call: Call): Answer
}

interface File {
  readonly type: string
  readonly etag: string
  readonly forms: ReadonlyMap<string, Uint8Array>
  readonly cacheControl: string
}

/** Files under `/assets/` have their hash in their name, so they never change. */
const IMMUTABLE = 'public, max-age=31536000, immutable'
const REVALIDATE = 'no-cache'

/** @throws ConfigError when the folder has no index.html */
export function createPage(app: string, folder: string): Page {
  const files = new Map<string, File>()
  for (const path of list(folder)) {
    const address = `/${relative(folder, path).split(sep).join('/')}`
    const bytes = readFileSync(path)
    const type = contentType(path)
    const packed = /^(text|application)\/|svg/.test(type) ? COMPRESSIONS : []
    files.set(address, {
      type,
      etag: hash('sha1', bytes, 'base64url'),
      forms: new Map<string, Uint8Array>([
        ['', bytes],
        ...packed.map(({ name, compress }) => [name, compress(bytes)] as const),
      ]),
      cacheControl: address.startsWith('/assets/') ? IMMUTABLE : REVALIDATE,
    })
  }
  const index = files.get('/index.html')
  if (index === undefined)
    throw new ConfigError(
      `app ${JSON.stringify(app)}`,
      'page',
      'a folder with an index.html (built by `npm start`)',
      folder,
    )
  files.set('/', index)

  return {
    has: (path) => files.has(path),
    serve(call) {
      const file = files.get(call.path)
      if (file === undefined) throw new WeirError('not_found', `${call.path.slice(0, 200)}: no file is served here`)
      const plain = file.forms.get('') ?? new Uint8Array()
      const packed =
        file.forms.size > 1 ? chooseCompression(call.header('accept-encoding'), plain.byteLength) : undefined
      const etag = packed === undefined ? `"${file.etag}"` : `"${file.etag}-${packed.name}"`
      const headers = {
        'content-type': file.type,
        'cache-control': file.cacheControl,
        etag,
        vary: 'accept-encoding',
        'x-content-type-options': 'nosniff',
      }
      if (call.header('if-none-match')?.includes(file.etag)) return { kind: 'whole', status: 304, headers, body: null }
      if (packed === undefined) return { kind: 'whole', status: 200, headers, body: plain }
      return {
        kind: 'whole',
        status: 200,
        headers: { ...headers, 'content-encoding': packed.name },
        body: file.forms.get(packed.name) ?? plain,
      }
    },
  }
}

function contentType(path: string): string {
  const type = lookup(path) ?? 'application/octet-stream'
  return type.startsWith('text/') ? `${type}; charset=utf-8` : type
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
  } catch {
    return []
  }
}
