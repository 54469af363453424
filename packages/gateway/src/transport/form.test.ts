import { expect, test } from 'vitest'
import { call } from '../../test/call.ts'
import { formOf } from './form.ts'

test.each([
  [undefined, 'json'],
  ['*/*', 'json'],
  ['text/html, application/xhtml+xml, */*;q=0.8', 'json'],
  ['text/event-stream', 'sse'],
  ['Text/Event-Stream', 'sse'],
  ['text/event-stream;charset=utf-8', 'sse'],
  ['text/event-stream, application/json', 'sse'],
  ['application/json, text/event-stream', 'sse'],
  ['text/event-stream, */*;q=0.1', 'sse'],
  ['text/event-stream;q=0', 'json'],
  ['text/event-stream; q=0.0, */*', 'json'],
  ['text/event-stream;q=0.5, application/json', 'json'],
  ['text/event-stream;q=0.5, application/*', 'json'],
  ['text/event-stream;q=0.5, application/json;q=0.4, */*', 'sse'],
  ['text/event-stream;q=many', 'json'],
])('Accept: %s means %s', (accept, form) => {
  const headers: Record<string, string> = accept === undefined ? {} : { accept }
  expect(formOf(call('/prices/SOL', { headers }), ['json', 'sse', 'poll'])).toBe(form)
})

test('?as= goes before Accept, wherever it stands in the query', () => {
  const headers = { accept: 'text/event-stream' }
  expect(formOf(call('/x?depth=3&as=json', { headers }), ['json', 'sse'])).toBe('json')
  expect(formOf(call('/x?as=sse'), ['json', 'sse'])).toBe('sse')
  expect(formOf(call('/x?alias=sse'), ['json', 'sse'])).toBe('json')
})

test('what an address does not offer is refused, and what it does is named', () => {
  const refusal = (message: string) => expect.objectContaining({ code: 'bad_request', message })
  expect(() => formOf(call('/x?as=SSE'), ['json', 'sse', 'poll'])).toThrow(
    refusal('as: expected json or sse or poll, got "SSE"'),
  )
  expect(() => formOf(call('/x?as='), ['json', 'sse'])).toThrow(refusal('as: expected json or sse, got ""'))
  expect(() => formOf(call('/x?as=json'), ['sse'])).toThrow(refusal('as: expected sse, got "json"'))
})

test('an address without a stream answers what it has, whatever is accepted', () => {
  expect(formOf(call('/x', { headers: { accept: 'text/event-stream' } }), ['json'])).toBe('json')
})
