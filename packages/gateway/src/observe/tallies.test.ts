import fc from 'fast-check'
import { Counter, Histogram, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { AnswerTally, BUCKETS, ReadTally } from './tallies.ts'

const name = fc.constantFrom('prices', 'lottery', '/prices/:mint', 'a"b\\c\nd')

/** Lines in any order: the two count labels in different orders. */
function samples(text: string): readonly string[] {
  return text
    .split('\n')
    .map((line) => {
      const [, metric = line, labels = '', value = ''] = /^(\w+)\{(.*)\} (\S+)$/.exec(line) ?? []
      return `${metric} ${labels
        .split(/,(?=\w+=")/)
        .toSorted()
        .join()} ${value.slice(0, 12)}`
    })
    .toSorted()
}

test('answers and reads give the samples that prom-client counts by itself, in both formats', async () => {
  const answer = fc.tuple(name, name, fc.constantFrom(200, 304, 404, 503), fc.double({ min: 0, max: 20, noNaN: true }))
  const read = fc.tuple(name, fc.constantFrom('hit', 'miss'))
  await fc.assert(
    fc.asyncProperty(fc.array(answer), fc.array(read), async (answers, reads) => {
      const [ours, theirs] = [new Registry(), new Registry()]
      const registers = [theirs]
      const labelNames = ['app', 'route', 'status']
      const requests = new Counter({ name: 'weir_requests_total', help: 'Answers to clients.', labelNames, registers })
      const seconds = new Histogram({
        ...{ name: 'weir_request_seconds', help: 'Time to answer a client.', registers },
        ...{ labelNames: ['app', 'route'], buckets: [...BUCKETS] },
      })
      const cache = new Counter({
        ...{ name: 'weir_cache_reads_total', help: 'Reads by what the cache made of them.', registers },
        labelNames: ['feed', 'outcome'],
      })
      const [answerTally, readTally] = [new AnswerTally(ours), new ReadTally(ours)]
      for (const [app, route, status, took] of answers) {
        answerTally.add(app, route, status, took)
        requests.inc({ app, route, status })
        seconds.observe({ app, route }, took)
      }
      for (const [feed, outcome] of reads) {
        readTally.add(feed, outcome)
        cache.inc({ feed, outcome })
      }
      // Scraped twice: nothing is counted twice.
      await ours.metrics()
      expect(samples(await ours.metrics())).toEqual(samples(await theirs.metrics()))
      const json = async (registry: Registry) => {
        const metrics = await registry.getMetricsAsJSON()
        return metrics.flatMap(({ name, values }) =>
          values.map(({ labels, value }) => [name, labels, value.toFixed(6)]),
        )
      }
      expect(await json(ours)).toEqual(expect.arrayContaining(await json(theirs)))
      expect(await json(ours)).toHaveLength((await json(theirs)).length)
    }),
  )
})
