import fc from 'fast-check'
import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { BUCKETS, Instrument } from './instrument.ts'

const label = fc.constantFrom('prices', 'lottery', '/prices/:mint', 'a"b\\c\nd')
const amount = fc.integer({ min: 0, max: 1000 })
const seconds = fc.double({ min: 0, max: 20, noNaN: true })

/** The lines of the text format in one order; sums of fractions are rounded. */
function lines(text: string): readonly string[] {
  return text
    .split('\n')
    .map((line) => {
      const [, metric, labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
      if (metric === undefined) return line
      return `${metric} ${labels
        .split(/,(?=\w+=")/)
        .toSorted()
        .join()} ${Number(value).toFixed(6)}`
    })
    .toSorted()
}

test('counts become the samples that prom-client makes of the same counts, also as a sum of processes', async () => {
  const counts = fc.record({
    plain: fc.array(amount),
    labelled: fc.array(fc.tuple(amount, label, fc.constantFrom(200, 503), label)),
    gauge: fc.array(fc.tuple(amount, label)),
    times: fc.array(fc.tuple(seconds, label)),
  })
  await fc.assert(
    fc.asyncProperty(counts, async ({ plain, labelled, gauge, times }) => {
      const registers = [new Registry()]
      const theirs = {
        plain: new Counter({ name: 'plain', help: 'a', registers }),
        labelled: new Counter({ name: 'labelled', help: 'b', labelNames: ['x', 'status', 'y'], registers }),
        gauge: new Gauge({ name: 'gauge', help: 'c', labelNames: ['x'], registers }),
        times: new Histogram({ name: 'times', help: 'd', labelNames: ['x'], buckets: [...BUCKETS], registers }),
      }
      const ours = {
        plain: new Instrument({ name: 'plain', help: 'a', type: 'counter' }),
        labelled: new Instrument({ name: 'labelled', help: 'b', type: 'counter', labels: ['x', 'status', 'y'] }),
        gauge: new Instrument({ name: 'gauge', help: 'c', type: 'gauge', labels: ['x'] }),
        times: new Instrument({ name: 'times', help: 'd', type: 'histogram', labels: ['x'] }),
      }
      for (const n of plain) {
        theirs.plain.inc(n)
        ours.plain.add(n)
      }
      for (const [n, x, status, y] of labelled) {
        theirs.labelled.inc({ x, status, y }, n)
        ours.labelled.add(n, x, status, y)
      }
      for (const [n, x] of gauge) {
        theirs.gauge.set({ x }, n)
        ours.gauge.set(n, x)
      }
      for (const [n, x] of times) {
        theirs.times.observe({ x }, n)
        ours.times.observe(n, x)
      }
      const samples = () => Object.values(ours).map((instrument) => instrument.samples())
      const metrics = await registers[0]?.getMetricsAsJSON()
      for (const processes of [1, 3]) {
        const [mine, expected] = [samples(), metrics].map((all) => {
          return AggregatorRegistry.aggregate(Array.from({ length: processes }, () => [...(all ?? [])])).metrics()
        })
        expect(lines((await mine) ?? '')).toEqual(lines((await expected) ?? ''))
      }
    }),
  )
})
