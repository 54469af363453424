/**
 * One budget of 50 calls a second, shared by four processes over one Redis, all with more to send than may go, while things
 * go wrong. Arrivals are counted at the upstream, in any sliding second. `node bench/budget-nodes.ts [seconds] [calm]`: calm
 * leaves out what goes wrong, but for the stalls of the road.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { RedisNodes } from '../packages/gateway/test/redis-nodes.ts'
import { mostWithin, slowRoad } from '../packages/gateway/test/slow-road.ts'
import { redisServer } from '../scripts/redis-server.ts'

const LIMIT = 50
const WINDOW = 1000
const SECONDS = Number(process.argv[2] ?? 60)
const CALM = process.argv[3] === 'calm'
const ROWS = 6
const at = (share: number) => SECONDS * 1000 * share
/** A node that was not heard of for so long is left its share until another comes in its place. Milliseconds. */
const PRESENCE = 3000
/** What the rules leave shut: a quarter while a node is missed. Seconds. */
const SHUT = CALM ? 0 : Math.max(0, at(5 / 60) - PRESENCE) / 4 / 1000

await using redis = await redisServer()
await using road = await slowRoad({
  ...{ limit: LIMIT, window: WINDOW, travel: { mean: 25, spread: 15 }, stall: { every: 5000, for: 150 } },
})
await using nodes = new RedisNodes({
  ...{ redis: redis.url, upstream: road.url, limit: LIMIT, window: WINDOW, waiting: 40, timeout: 500 },
})

const events: readonly { readonly at: number; readonly what: string; readonly run: () => unknown }[] = [
  { at: at(20 / 60), what: 'a node is killed', run: () => nodes.signal(0, 'SIGKILL') },
  { at: at(25 / 60), what: 'it is started again', run: () => nodes.start(0) },
  { at: at(30 / 60), what: 'a node is frozen for 0.9 s', run: () => nodes.signal(1, 'SIGSTOP') },
  { at: at(30 / 60) + 900, what: '', run: () => nodes.signal(1, 'SIGCONT') },
  { at: at(40 / 60), what: 'FLUSHALL', run: () => redis.flush() },
]

for (let index = 0; index < 4; index++) nodes.start(index)
while (road.arrivals.length === 0) await sleep(5)
const began = road.arrivals[0] ?? 0
const begunAt = performance.now()
const commands = await redis.scripts()
for (const event of CALM ? [] : events) {
  await sleep(Math.max(0, begunAt + event.at - performance.now()))
  await event.run()
}
await sleep(Math.max(0, begunAt + SECONDS * 1000 - performance.now()))
const asked = (await redis.scripts()) - commands

const total = nodes.total()
const answerTime = total.took / Math.max(1, total.answered)
const reachable = (LIMIT * WINDOW) / (WINDOW + answerTime)
const step = SECONDS / ROWS
const lines = Array.from({ length: ROWS }, (_, index) => {
  const [from, to] = [began + index * step * 1000, began + (index + 1) * step * 1000]
  const inside = road.arrivals.filter((moment) => moment >= from && moment < to)
  const upTo = road.arrivals.filter((moment) => moment >= from - WINDOW && moment < to)
  const happened = events.filter((event) => event.what !== '' && event.at >= from - began && event.at < to - began)
  const cells = [
    `${(index * step).toFixed(0)} to ${((index + 1) * step).toFixed(0)} s`,
    (inside.length / step).toFixed(1),
    String(mostWithin(upTo, WINDOW)),
    String(road.refusals.filter((moment) => moment >= from && moment < to).length),
    `${((inside.length / step / reachable) * 100).toFixed(1)} %`,
    CALM ? '' : happened.map(({ what }) => what).join(', '),
  ]
  return `| ${cells.join(' | ')} |`
})
const run = road.arrivals.filter((moment) => moment >= began && moment < began + SECONDS * 1000)
console.log('| time | starts a second | most in any second | refused | of the reachable rate | what happens |')
console.log('| ---: | --------------: | -----------------: | ------: | --------------------: | :----------- |')
console.log(lines.join('\n'))
// The first burst fills empty windows: it would count as more than is reachable. Starts come in bursts, so the run is taken
// to end with the last of them: what was left of a round would count as unused.
const span = ((run.at(-1) ?? began) - began) / 1000
const used = (run.length - LIMIT) / span / reachable
console.log(
  `\nIn all: ${run.length} arrivals, ${mostWithin(road.arrivals, WINDOW)} at most in any second, ` +
    `${road.refusals.length} refused; answers take ${answerTime.toFixed(1)} ms, so ${reachable.toFixed(1)} a second are ` +
    `reachable, and after the first ${LIMIT} ${(used * 100).toFixed(1)} % of that were used, ` +
    `${((used * 100 * span) / (span - SHUT)).toFixed(1)} % of what the rules leave open. ` +
    `${(asked / run.length).toFixed(1)} scripts an arrival.`,
)
