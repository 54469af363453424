import { expect, test } from 'vitest'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import { at, createGateway, defineApp, feed, http } from '../src/index.ts'
import { countingUpstream, json } from './counting-upstream.ts'
import { connect } from './web-socket.ts'

const WELL = 2_000_000

/** A pair made of a part that moves and one whose upstream can be made to fail, each from an upstream of its own. */
async function open() {
  const moving = await countingUpstream()
  const failing = await countingUpstream()
  const now = { moving: 1, fails: false }
  moving.answer = (_, response) => json(response, now.moving)
  failing.answer = (_, response) => (now.fails ? json(response, {}, 500) : json(response, WELL))
  const part = (name: string, url: string) =>
    feed(`/${name}`, {
      ...{ name, key: {}, value: z.number(), fresh: '50ms', stale: '1m', staleIfError: '1m' },
      from: http({ name, url, pastUsage: 'none', retries: 0 }),
      load: { one: (_, call) => call.get('/', { answer: z.number() }) },
      live: { every: '50ms' },
    })
  const [one, other] = [part('moving', moving.url), part('failing', failing.url)]
  const pair = feed('/pair', {
    ...{ name: 'pair', key: {}, value: z.array(z.union([z.number(), z.string()])) },
    load: { one: async () => [(await one.get({})).value, (await other.get({})).value, 'x'.repeat(100)] },
    live: { dependsOn: () => [at(one, {}), at(other, {})] },
  })
  const gateway = createGateway({ apps: [defineApp({ name: 'test', use: [one, other, pair] })], heartbeat: '5s' })
  const [url = ''] = await gateway.listen({ port: 0 })
  return {
    url,
    now,
    async [Symbol.asyncDispose]() {
      await gateway.close(1000)
      await moving[Symbol.asyncDispose]()
      await failing[Symbol.asyncDispose]()
    },
  }
}

test('a new version of a value that is stale says so in itself, on SSE and WebSocket, and to those who come then', async () => {
  await using site = await open()
  await using stream = new EventStream(await fetch(`${site.url}/pair?as=sse`))
  await using peer = await connect(site.url)
  peer.say({ type: 'subscribe', topic: '/pair' })
  await stream.until('snapshot')
  await peer.hears('snapshot')
  site.now.fails = true
  await stream.until('heartbeat', ({ data }) => data.stale === true)
  site.now.moving = 2
  const told = await stream.until('snapshot', ({ data }) => (data.value as number[])[0] === 2)
  expect(told.data).toMatchObject({ stale: true })
  const news = await peer.hears('snapshot', ({ value }) => (value as number[])[0] === 2)
  expect(news).toMatchObject({ stale: true })
  peer.say({ type: 'get', id: 1, topic: '/pair' })
  expect(await peer.hears('snapshot', ({ id }) => id === 1)).toMatchObject({ stale: true })
  await using late = new EventStream(await fetch(`${site.url}/pair?as=sse`))
  expect((await late.until('snapshot')).data).toMatchObject({ stale: true })
  // It is confirmed again: the same version is said to hold, to those who have it and to those who come.
  site.now.fails = false
  await stream.until('heartbeat', ({ data }) => data.stale === false)
  await using last = new EventStream(await fetch(`${site.url}/pair?as=sse`))
  const { data } = await last.until('snapshot')
  if (data.stale === true) await last.until('heartbeat', ({ data }) => data.stale === false)
})
