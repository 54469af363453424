import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { call } from '../../test/call.ts'
import type { WholeAnswer } from '../call.ts'
import { createPage } from './static-page.ts'

const folder = mkdtempSync(join(tmpdir(), 'weir-page-'))
const SCRIPT = 'export const weir = 1\n'.repeat(200)
mkdirSync(join(folder, 'assets'))
writeFileSync(join(folder, 'index.html'), '<!doctype html><title>ż</title>')
writeFileSync(join(folder, 'assets', 'app-1a2b.js'), SCRIPT)
writeFileSync(join(folder, 'assets', 'logo-3c4d.png'), Buffer.alloc(5000))
afterAll(() => rmSync(folder, { recursive: true }))

const page = createPage('prices', folder)

function serve(url: string, headers: Record<string, string> = {}): WholeAnswer {
  const answer = page.serve(call(url, { headers }))
  if (answer?.kind !== 'whole') throw new Error(`expected a file at ${url}`)
  return answer
}

describe('a page', () => {
  test.each(['/', '/index.html', '/?utm=1'])('is served at %s, to be asked for again each time', (url) => {
    const { status, headers, body } = serve(url)
    expect({ status, body: String(body) }).toEqual({ status: 200, body: '<!doctype html><title>ż</title>' })
    expect(headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-cache' })
  })

  test('keeps its assets for ever, since their names change with them', () => {
    expect(serve('/assets/app-1a2b.js').headers).toMatchObject({
      'content-type': 'text/javascript; charset=utf-8',
      'cache-control': 'public, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
    })
  })

  test('is compressed for who accepts it, and has a tag of its own then', () => {
    const packed = serve('/assets/app-1a2b.js', { 'accept-encoding': 'br' })
    expect(packed.headers).toMatchObject({ 'content-encoding': 'br', vary: 'accept-encoding' })
    expect(brotliDecompressSync(packed.body as Uint8Array).toString()).toBe(SCRIPT)
    expect(packed.headers.etag).not.toBe(serve('/assets/app-1a2b.js').headers.etag)
  })

  test('compresses no pictures', () => {
    expect(serve('/assets/logo-3c4d.png', { 'accept-encoding': 'br, gzip' }).headers).not.toHaveProperty(
      'content-encoding',
    )
  })

  test('is not sent again to who has it', () => {
    const { etag } = serve('/assets/app-1a2b.js', { 'accept-encoding': 'gzip' }).headers
    const again = serve('/assets/app-1a2b.js', { 'accept-encoding': 'gzip', 'if-none-match': String(etag) })
    expect(again).toMatchObject({ status: 304, body: null })
    expect(serve('/assets/app-1a2b.js', { 'if-none-match': '"other"' }).status).toBe(200)
  })

  test.each(['/assets', '/assets/', '/../package.json', '/%2e%2e/package.json', '/index.html/', '//index.html'])(
    'has nothing at %s',
    (url) => {
      expect(page.has(url)).toBe(false)
    },
  )

  test('without an index is refused', () => {
    expect(() => createPage('prices', join(folder, 'assets'))).toThrow(
      'app "prices": page: expected a folder with an index',
    )
    expect(() => createPage('prices', join(folder, 'nowhere'))).toThrow(/expected a folder with an index/)
  })
})
