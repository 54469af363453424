import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type ChannelListener, subscriptions } from './subscriptions.ts'

test('what takes longer to be read is told in its turn', async () => {
  let listener: ChannelListener<Buffer> | undefined
  const channels = {
    listen: (_: string, given: ChannelListener<Buffer>) => {
      listener = given
      return () => {}
    },
    close: async () => {},
  }
  const waiting: (() => void)[] = []
  const slow = (text: string) => new Promise<string>((resolve) => waiting.push(() => resolve(text)))
  const read = (message: Buffer) => (message.length > 1 ? slow(String(message)) : String(message))
  const errors: unknown[] = []
  const report = (error: unknown) => void errors.push(error)
  const heard: string[] = []
  subscriptions({ channels, channelOf: String, read, catchUp: async () => undefined, report })('a', (text) =>
    heard.push(text),
  )
  for (const text of ['1', 'second', '3', 'fourth', '5']) listener?.hear(Buffer.from(text))
  expect(heard).toEqual(['1'])
  waiting[1]?.()
  await turn()
  expect(heard).toEqual(['1'])
  waiting[0]?.()
  await turn()
  expect(heard).toEqual(['1', 'second', '3', 'fourth', '5'])
  listener?.hear(Buffer.from('6'))
  expect(heard.at(-1)).toBe('6')
  expect(errors).toEqual([])
})
