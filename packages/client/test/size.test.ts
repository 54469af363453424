import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'

const LIMIT = 8 * 1024

test.each(['weir.js', 'weir.global.js'])('the core as %s, with all dependencies, is under 8 KB gzipped', (file) => {
  const { length } = gzipSync(readFileSync(join(import.meta.dirname, '../dist', file)), { level: 9 })
  expect(length).toBeLessThan(LIMIT)
})
