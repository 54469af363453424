/**
 * The usual load test of a site, in k6's terms: virtual users who ask for the page without a pause, ramping up to 100 and to
 * 1,000, and down again; every answer has to be 200 and to come within 500 ms. Its stages of 2, 5 and 2 minutes are shortened.
 * `node bench/ramp.ts [SHORTENED_BY]`
 */
import { setTimeout as pause } from 'node:timers/promises'
import { head, quantile, row, Site, Upstream } from './prices.ts'
import { Readers } from './readers.ts'

const STAGES = [
  { seconds: 120, target: 100 },
  { seconds: 300, target: 1000 },
  { seconds: 120, target: 0 },
]
const WITHIN = 500
const shortened = Number(process.argv[2] ?? 20)

await using upstream = await Upstream.start()
await using site = await Site.start(upstream)
using readers = new Readers(site.url, 1000)
let wanted = 0
let users = 0

/** Asks again and again, until there are more users than are wanted. */
async function use(): Promise<void> {
  users += 1
  while (users <= wanted) await readers.get('/')
  users -= 1
}

const began = performance.now()
const cpuBefore = site.cpu
for (const { seconds, target } of STAGES) {
  const [from, start, lasts] = [wanted, performance.now(), (seconds * 1000) / shortened]
  for (let passed = 0; passed < lasts; passed = performance.now() - start) {
    wanted = Math.round(from + ((target - from) * passed) / lasts)
    while (users < wanted) void use()
    await pause(10)
  }
  wanted = target
}
while (users > 0) await pause(10)

const took = (performance.now() - began) / 1000
const { times, statuses } = readers.take()
const late = times.filter((time) => time >= WITHIN).length
head('measured', 'is')
row('seconds', took.toFixed(0))
row('answers', times.length)
row('answers a second', Math.round(times.length / took))
row('statuses', JSON.stringify(statuses))
row(`not within ${WITHIN} ms`, late)
for (const [name, share] of [
  ['p50', 0.5],
  ['p99', 0.99],
  ['longest', 1],
] as const) {
  row(`${name}, ms`, quantile(times, share).toFixed(0))
}
row('gateway CPU', `${(((site.cpu - cpuBefore) / took) * 100).toFixed(0)} %`)
row('upstream calls', (await upstream.stats()).asked)
