import { env } from 'node:process'
import { defineApp, feed, http } from '@weir/gateway'
import { z } from 'zod'
import { messageOf } from './message.ts'

const every = `${Number(env.EVERY)}ms` as const

/** A value that is new whenever it is asked for. */
const update = feed('/updates/:id', {
  name: 'update',
  key: { id: z.string() },
  value: z.string(),
  from: http({ name: 'nobody', url: 'http://127.0.0.1:9', pastUsage: 'none' }),
  load: { one: async () => messageOf(Number(env.BYTES)) },
  fresh: '1ms',
  live: { every },
})

export default defineApp({ name: 'updates', use: [update] })
