/**
 * Reads one value of a region again and again, and says each second how that went, one line of JSON. `node bench/regions/reader.ts URL`
 */
import { Agent, request } from 'node:http'

const [url = ''] = process.argv.slice(2)
/** Between two reads, in milliseconds. */
const PAUSE = 5
const agent = new Agent({ keepAlive: true, maxSockets: 1 })

/** What a reader says of a second. */
export interface Second {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly times: readonly number[]
  readonly failed: number
  /** Seconds, as the last answer said. */
  readonly age: number
  readonly stale: boolean
}

let [times, failed, age, stale] = [[] as number[], 0, 0, false]
setInterval(() => {
  const second: Second = { at: Date.now(), times, failed, age, stale }
  process.stdout.write(`${JSON.stringify(second)}\n`)
  times = []
  failed = 0
}, 1000)

function read(): void {
  const began = performance.now()
  const call = request(url, { agent }, (answer) => {
    answer.resume()
    answer.once('end', () => {
      times.push(performance.now() - began)
      if (answer.statusCode !== 200) failed += 1
      age = Number(answer.headers.age ?? 0)
      stale = answer.headers['weir-stale'] === '?1'
      setTimeout(read, PAUSE)
    })
  })
  call.once('error', () => {
    failed += 1
    setTimeout(read, PAUSE)
  })
  call.end()
}
read()
