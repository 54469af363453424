import { describe, expect, test } from 'vitest'
import { stored } from '../test/content.ts'
import { type Open, type Opened, withBackend } from './opened.ts'

/** How long a backend may take to carry a message, in milliseconds. */
const CARRIED = 200

/** What every `Bus` does, however far it carries. */
export function busContract(name: string, open: Open): void {
  describe(`bus: ${name}`, () => {
    const run = (body: (opened: Opened) => Promise<void>) => withBackend(open, body)

    test(
      'every listener of a channel hears every message, in order and whole',
      run(async ({ backend: { bus }, advance }) => {
        const heard: unknown[][] = [[], []]
        for (const one of heard) bus.subscribe('a', (message) => one.push(message))
        await advance(CARRIED)
        const messages = [1, 2, 3].map((sequence) => stored({ sequence }, { sequence }))
        for (const message of messages) bus.publish('a', message)
        await advance(CARRIED)
        expect(heard).toEqual([messages, messages])
      }),
    )

    test(
      'who stopped listening hears no more, and others still do',
      run(async ({ backend: { bus }, advance }) => {
        const heard: string[] = []
        const stop = bus.subscribe('a', () => heard.push('first'))
        bus.subscribe('a', () => heard.push('second'))
        await advance(CARRIED)
        stop()
        stop()
        bus.publish('a', stored(1))
        await advance(CARRIED)
        expect(heard).toEqual(['second'])
      }),
    )

    test(
      'the last who leaves a channel does not take away one who came later',
      run(async ({ backend: { bus }, advance }) => {
        const heard: string[] = []
        const stop = bus.subscribe('a', () => heard.push('gone'))
        stop()
        bus.subscribe('a', () => heard.push('new'))
        stop()
        await advance(CARRIED)
        bus.publish('a', stored(1))
        await advance(CARRIED)
        expect(heard).toEqual(['new'])
      }),
    )

    test(
      'a listener may leave while it receives a message',
      run(async ({ backend: { bus }, advance }) => {
        const heard: string[] = []
        const stop = bus.subscribe('a', () => {
          heard.push('once')
          stop()
        })
        bus.subscribe('a', () => heard.push('always'))
        await advance(CARRIED)
        bus.publish('a', stored(1))
        bus.publish('a', stored(2))
        await advance(CARRIED)
        expect(heard).toEqual(['once', 'always', 'always'])
      }),
    )

    test(
      'channels are separate, and a message without listeners is lost quietly',
      run(async ({ backend: { bus }, advance }) => {
        const heard: string[] = []
        bus.subscribe('a', () => heard.push('a'))
        await advance(CARRIED)
        bus.publish('b', stored(1))
        await advance(CARRIED)
        expect(heard).toEqual([])
      }),
    )

    test(
      'a broadcast reaches every listener, also on the sending node, until it stops',
      run(async ({ backend: { bus }, advance }) => {
        const heard: string[] = []
        // An empty one says that some may have been missed.
        const stop = bus.onBroadcast('a', (word) => word !== '' && heard.push(`first ${word}`))
        bus.onBroadcast('a', (word) => word !== '' && heard.push(`second ${word}`))
        bus.onBroadcast('b', (word) => word !== '' && heard.push(`other ${word}`))
        await advance(CARRIED)
        bus.broadcast('a', 'one')
        await advance(CARRIED)
        stop()
        bus.broadcast('a', 'two')
        bus.publish('a', stored(1))
        await advance(CARRIED)
        expect(heard).toEqual(['first one', 'second one', 'second two'])
      }),
    )
  })
}
