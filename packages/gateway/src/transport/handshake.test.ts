import { expect, test } from 'vitest'
import type { Call } from '../call.ts'
import { checkHandshake } from './handshake.ts'

function handshake(headers: Record<string, string>): Pick<Call, 'header'> {
  const all: Record<string, string> = {
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  }
  return { header: (name) => all[name] }
}

test.each([
  ['https://example.com', 'example.com'],
  ['https://example.com', 'example.com:443'],
  ['https://example.com', 'EXAMPLE.com:443'],
  ['http://example.com', 'example.com:80'],
  ['http://example.com', 'example.com'],
  ['https://example.com:8443', 'example.com:8443'],
  ['http://[::1]', '[::1]:80'],
])('a page of %s may open a WebSocket at %s, which is its own site', (origin, host) => {
  expect(() => checkHandshake(handshake({ origin, host }), [])).not.toThrow()
})

test.each([
  ['https://example.com', 'example.com:80'],
  ['http://example.com', 'example.com:443'],
  ['https://example.com', 'example.com:8443'],
  ['https://example.com:444', 'example.com:443'],
  ['https://evil.example', 'example.com:443'],
  ['https://example.com.evil.example', 'example.com'],
  ['null', 'example.com'],
  ['https://443', ':443'],
])('a page of %s may not at %s', (origin, host) => {
  expect(() => checkHandshake(handshake({ origin, host }), [])).toThrow(/expected this site/)
})
