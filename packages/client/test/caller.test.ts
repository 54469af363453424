import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { keepValues } from '../src/offline.ts'
import { HELLO, snapshot, world } from './manual-world.ts'
import { listen } from './world.ts'

const PRIVATE = { private: true }

/** A store like `localStorage`. */
function store() {
  const kept = new Map<string, string>()
  return {
    kept,
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  }
}

describe('the caller', () => {
  test('changes: private values are gone at once, public ones stay, and all topics are requested again', async () => {
    const storage = store()
    const { time, weir, asked } = world(['sse'], 0.5, undefined, { persist: keepValues({ storage }) })
    const mine = listen(weir, '/mine')
    const open = listen(weir, '/open')
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', { ...HELLO, caller: 'a' })
    stream?.say('snapshot', { ...snapshot('1:1', 'of a', '/mine'), ...PRIVATE })
    stream?.say('snapshot', snapshot('1:1', 'of all', '/open'))
    await time.settle()
    expect([mine.last?.value, open.last?.value]).toEqual(['of a', 'of all'])
    const get = weir.get('/other')
    const other = asked.at(-1)
    await time.settle()
    const signedOut = weir.signOut()
    expect(mine.last).toMatchObject({ value: undefined, version: undefined })
    expect(weir.entry('/mine')?.value).toBeUndefined()
    expect(open.last?.value).toBe('of all')
    await signedOut
    await time.advance(0)
    expect(asked.at(-1)?.address).toContain('topic=%2Fmine&since=&topic=%2Fopen&since=1:1')
    // Answers under way to the old caller arrive and are dropped.
    stream?.say('snapshot', { ...snapshot('1:2', 'of a still', '/mine'), ...PRIVATE })
    other?.answer({ of: 'a' }, { 'weir-version': '1:1' })
    await expect(get).rejects.toThrow('The caller changed')
    await time.settle()
    expect(mine.last?.value).toBeUndefined()
    const next = asked.at(-1)?.stream()
    next?.say('hello', HELLO)
    next?.say('snapshot', { ...snapshot('1:1', 'of b', '/mine'), ...PRIVATE })
    await time.settle()
    expect(mine.last?.value).toBe('of b')
    globalThis.dispatchEvent?.(new Event('pagehide'))
    expect([...storage.kept.values()].join()).not.toContain('of ')
  })

  test('is another than before according to the server: private values go before anything else arrives', async () => {
    const { time, weir, asked } = world()
    const mine = listen(weir, '/mine')
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', { ...HELLO, caller: 'a' })
    stream?.say('snapshot', { ...snapshot('1:1', 'of a', '/mine'), ...PRIVATE })
    stream?.say('goodbye', { retry: 1 })
    await time.settle()
    await time.advance(1000)
    expect(mine.last?.value).toBe('of a')
    asked.at(-1)?.stream().say('hello', HELLO)
    await time.settle()
    expect(mine.last?.value).toBeUndefined()
  })

  test('has a credential that expires: another is fetched before the client reconnects', async () => {
    let renewed = () => {}
    let renewals = 0
    const renew = () => {
      renewals += 1
      return new Promise<void>((resolve) => {
        renewed = resolve
      })
    }
    const { time, weir, asked } = world(['sse'], 0.5, undefined, { renew })
    const mine = listen(weir, '/mine')
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', { ...HELLO, caller: 'a' })
    stream?.say('snapshot', { ...snapshot('1:1', 'of a', '/mine'), ...PRIVATE })
    const problem = {
      type: '',
      title: 'Expired',
      status: 401,
      code: 'credential_expired',
      detail: 'renew it',
      retry: false,
    }
    stream?.say('goodbye', { retry: 0, problem })
    await time.settle()
    await time.advance(30_000)
    expect([renewals, asked.length]).toEqual([1, 1])
    expect(weir.status()).toMatchObject({ state: 'offline', problem: { code: 'credential_expired' } })
    renewed()
    await time.settle()
    await time.advance(1000)
    expect(asked).toHaveLength(2)
    const next = asked.at(-1)?.stream()
    next?.say('hello', { ...HELLO, caller: 'a' })
    await time.settle()
    expect(weir.status()).toMatchObject({ state: 'live' })
    expect(weir.status().problem).toBeUndefined()
    expect(mine.last?.value).toBe('of a')
  })

  test('has credentials that are valid for a moment: the waits grow, whichever way the client reconnects', async () => {
    let renewals = 0
    const renew = () => {
      renewals += 1
    }
    const { time, weir, asked } = world(['sse'], 0.5, undefined, { renew })
    listen(weir, '/mine')
    await time.advance(0)
    const problem = { type: '', title: 'Expired', status: 401, code: 'credential_expired', detail: '', retry: false }
    let answered = 0
    async function expire(after: number) {
      if (asked.length === answered) return
      answered = asked.length
      const stream = asked.at(-1)?.stream()
      stream?.say('hello', { ...HELLO, heartbeat: 60_000, caller: 'a' })
      await time.settle()
      await time.advance(after)
      stream?.say('goodbye', { retry: 0, problem })
      await time.settle()
    }
    for (let passed = 0; passed < 60_000; passed += 250) {
      await expire(0)
      await time.advance(250)
    }
    expect(renewals).toBeLessThan(15)
    expect(weir.status()).toMatchObject({ state: 'offline', problem: { code: 'credential_expired' } })
    // One that is valid for longer counts as good, and the client reconnects soon.
    await time.advance(15_000)
    await expire(6000)
    expect((weir.status().retryAt ?? 0) - time.now()).toBeLessThanOrEqual(500)
  })

  test('changes at any moment, and nothing of another caller is ever shown, stored or returned', async () => {
    const step = fc.constantFrom('signIn', 'signOut', 'cookie', 'answer', 'late', 'get', 'wait', 'break')
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const storage = store()
        const { time, weir, asked } = world(['sse'], 0.5, undefined, { persist: keepValues({ storage }) })
        /** The caller in the browser's cookie, and the caller of each request. */
        let cookie = 0
        let callers = 0
        const named = new Map<object, number>()
        const name = () => {
          for (const request of asked) if (!named.has(request)) named.set(request, cookie)
        }
        /** When the page last learned of a change of caller. */
        let shown = 0
        const mine = listen(weir, '/mine')
        const got: [caller: number, value: unknown][] = []
        const streams = new Map<object, ReturnType<(typeof asked)[number]['stream']>>()
        let version = 0
        function answer(at: number): void {
          const request = asked.at(at)
          if (request === undefined) return
          const caller = named.get(request) ?? 0
          version += 1
          if (!request.address.includes('/weir/stream')) {
            request.answer([caller], { 'weir-version': `1:${version}` })
            return
          }
          let stream = streams.get(request)
          if (stream === undefined) {
            stream = request.stream()
            streams.set(request, stream)
            stream.say('hello', { ...HELLO, caller: String(caller) })
          }
          stream.say('snapshot', { ...snapshot(`1:${version}`, caller, '/mine'), ...PRIVATE })
        }
        for (const each of steps) {
          if (each === 'cookie' || each === 'signIn' || each === 'signOut') {
            callers += 1
            cookie = callers
            if (each !== 'cookie') {
              shown = cookie
              void weir[each]()
              expect(weir.entry('/mine')?.value).toBeUndefined()
            }
          } else if (each === 'answer') answer(-1)
          else if (each === 'late') answer(-2)
          else if (each === 'get') {
            const caller = shown
            weir.get('/once').then(
              (entry) => got.push([caller, Number((entry.value as number[])[0])]),
              () => {},
            )
          } else if (each === 'break') asked.at(-1)?.break()
          else await time.advance(600)
          await time.settle()
          name()
          const value = weir.entry('/mine')?.value
          // No value of a caller from before the last change that the page knows of.
          if (value !== undefined) expect(value).toBeGreaterThanOrEqual(shown)
        }
        const values = mine.heard.flatMap(({ value }) => (value === undefined ? [] : [value as number]))
        expect(values).toEqual(values.toSorted((a, b) => a - b))
        for (const [caller, value] of got) expect(value).toBeGreaterThanOrEqual(caller)
        expect(JSON.stringify([...storage.kept])).not.toContain('/mine')
        weir.close()
      }),
      { numRuns: 100 },
    )
  })
})

/** WebSockets of a server that knows no caller on them, because a header of `fetch` names it. */
function socketsWithoutCaller() {
  const opened: { closed: boolean; say(message: object): void }[] = []
  class Socket {
    onmessage: (event: { data: string }) => void = () => {}
    onclose = () => {}
    constructor() {
      const socket = {
        closed: false,
        say: (message: object) => this.onmessage({ data: JSON.stringify(message) }),
      }
      opened.push(socket)
      this.close = () => {
        socket.closed = true
      }
    }
    close: () => void
    send() {}
  }
  return { opened, Socket: Socket as unknown as typeof WebSocket }
}

describe('a caller that is identified by requests only', () => {
  test('stays: a better transport that does not know it is closed, and not tried again for long', async () => {
    const { opened, Socket } = socketsWithoutCaller()
    const { time, weir, asked } = world(['ws', 'sse'], 0.5, Socket)
    const mine = listen(weir, '/mine')
    await time.advance(0)
    // The first try of the WebSocket delivers nothing in time, so the stream serves.
    await time.advance(5000)
    await time.settle()
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', { ...HELLO, heartbeat: 6_000_000, caller: 'a' })
    stream?.say('snapshot', { ...snapshot('1:1', 'of a', '/mine'), ...PRIVATE })
    await time.settle()
    expect(weir.status()).toMatchObject({ state: 'live', transport: 'sse' })
    for (let passed = 0; passed < 200_000; passed += 1000) {
      for (const socket of opened.slice(1)) if (!socket.closed) socket.say({ type: 'hello', ...HELLO })
      await time.advance(1000)
    }
    expect(opened).toHaveLength(2)
    expect(opened.every(({ closed }) => closed)).toBe(true)
    expect(weir.status()).toMatchObject({ transport: 'sse' })
    expect(mine.last?.value).toBe('of a')
    // Nor does it move there when the stream breaks: it reconnects by a request.
    stream?.end()
    await time.settle()
    await time.advance(1000)
    for (const socket of opened.slice(2)) if (!socket.closed) socket.say({ type: 'hello', ...HELLO })
    await time.settle()
    await time.advance(1000)
    expect(asked).toHaveLength(2)
    expect(mine.last?.value).toBe('of a')
  })

  test('is lost if requests do not know it any more either', async () => {
    const { time, weir, asked } = world(['sse', 'ws'], 0.5, socketsWithoutCaller().Socket)
    const mine = listen(weir, '/mine')
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', { ...HELLO, caller: 'a' })
    stream?.say('snapshot', { ...snapshot('1:1', 'of a', '/mine'), ...PRIVATE })
    stream?.say('goodbye', { retry: 1 })
    await time.settle()
    await time.advance(1000)
    asked.at(-1)?.stream().say('hello', HELLO)
    await time.settle()
    expect(weir.status()).toMatchObject({ state: 'live', transport: 'sse' })
    expect(mine.last?.value).toBeUndefined()
  })

  test('is not moved to a WebSocket in the round after its stream failed, but to polling', async () => {
    const { opened, Socket } = socketsWithoutCaller()
    const { time, weir, asked } = world(['sse', 'ws', 'poll'], 0.5, Socket)
    const mine = listen(weir, '/mine')
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', { ...HELLO, caller: 'a' })
    stream?.say('snapshot', { ...snapshot('1:1', 'of a', '/mine'), ...PRIVATE })
    await time.settle()
    stream?.end()
    await time.settle()
    await time.advance(0)
    expect(opened).toHaveLength(1)
    opened[0]?.say({ type: 'hello', ...HELLO })
    await time.settle()
    await time.advance(0)
    expect(opened[0]?.closed).toBe(true)
    expect(asked.at(-1)?.address).toContain('/weir/values')
    expect(mine.last?.value).toBe('of a')
  })
})
