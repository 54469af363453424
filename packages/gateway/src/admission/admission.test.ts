import type { Level } from '@weir/protocol'
import { describe, expect, test } from 'vitest'
import { call } from '../../test/call.ts'
import type { WeirEvent } from '../events.ts'
import { createAdmission } from './admission.ts'
import { createLevel } from './level.ts'

function open() {
  const events: WeirEvent[] = []
  const state: { level: Level; connections: number } = { level: 'normal', connections: 0 }
  const admission = createAdmission({
    emit: (event) => void events.push(event),
    level: () => state.level,
    connections: () => state.connections,
    most: 3,
  })
  return { admission, state, events }
}

const refused = (code: string) => expect.objectContaining({ code })

describe('admission', () => {
  test('refuses an address that is too long, and emits an event', () => {
    const { admission, events } = open()
    admission.checkRequest(call(`/${'x'.repeat(32_767)}`))
    expect(() => admission.checkRequest(call(`/${'x'.repeat(32_768)}`))).toThrow(refused('uri_too_long'))
    expect(events).toEqual([{ type: 'admission.refused', code: 'uri_too_long' }])
  })

  test('has room for as many connections as it may hold, and for no more', () => {
    const { admission, state } = open()
    state.connections = 2
    admission.reserveConnection()()
    state.connections = 3
    expect(() => admission.reserveConnection()).toThrow(refused('too_many_connections'))
  })

  test('counts a reserved connection until it is released, once', () => {
    const { admission, state } = open()
    state.connections = 1
    const release = admission.reserveConnection()
    admission.reserveConnection()
    expect(() => admission.reserveConnection()).toThrow(refused('too_many_connections'))
    release()
    release()
    admission.reserveConnection()
    expect(() => admission.reserveConnection()).toThrow(refused('too_many_connections'))
  })

  test.each(['normal', 'saver', 'strained'] as const)('serves at the level %s', (level) => {
    const { admission, state } = open()
    state.level = level
    admission.checkOpen()
  })

  test('refuses requests during maintenance, with a Retry-After', () => {
    const { admission, state } = open()
    state.level = 'maintenance'
    expect(() => admission.checkOpen()).toThrow(expect.objectContaining({ code: 'maintenance', retryAfter: 30_000 }))
  })

  test('refuses requests while it drains', () => {
    const { admission } = open()
    expect(admission.draining).toBe(false)
    admission.drain()
    expect(admission.draining).toBe(true)
    expect(() => admission.checkOpen()).toThrow(refused('draining'))
  })
})

describe('the level', () => {
  test('stretches intervals more at each more severe level', () => {
    const level = createLevel(() => {})
    const stretches = (['normal', 'saver', 'strained', 'maintenance'] as const).map((next) => {
      level.set(next, 'test')
      return level.stretch
    })
    expect(stretches[0]).toBe(1)
    expect(stretches).toEqual([...stretches].sort((a, b) => a - b))
  })

  test('is announced when it changes, and only then', () => {
    const events: WeirEvent[] = []
    const level = createLevel((event) => void events.push(event))
    for (const next of ['normal', 'saver', 'saver'] as const) level.set(next, 'queue')
    expect(events).toEqual([{ type: 'admission.level', level: 'saver', reason: 'queue' }])
  })
})
