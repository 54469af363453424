import { Counter, Histogram, type Registry } from 'prom-client'

/*
 * prom-client hashes the labels of every count, which takes longer than the rest of a cached read. Here a count is an addition; it becomes
 * samples when somebody scrapes.
 */

/** Seconds up to which each bucket of a histogram counts. */
export const BUCKETS: readonly number[] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2.5, 5, 10]

const NAME = 'weir_request_seconds'

/** The answers of one route of one app. */
interface Answers {
  readonly app: string
  readonly route: string
  readonly byStatus: Map<number, number>
  /** The last bucket is for answers that took longer than all bounds. */
  readonly byBucket: number[]
  seconds: number
}

/** `weir_requests_total` and `weir_request_seconds`. */
export class AnswerTally {
  readonly #routes = new Map<string, Map<string, Answers>>()

  constructor(registry: Registry) {
    const all = () => [...this.#routes.values()].flatMap((apps) => [...apps.values()])
    new Counter({
      name: 'weir_requests_total',
      help: 'Answers to clients.',
      labelNames: ['app', 'route', 'status'],
      registers: [registry],
      collect() {
        this.reset()
        for (const { app, route, byStatus } of all())
          for (const [status, count] of byStatus) this.inc({ app, route, status }, count)
      },
    })
    registry.registerMetric(new AnswerTimes(all))
  }

  add(app: string, route: string, status: number, seconds: number): void {
    const { byStatus, byBucket } = this.#answers(app, route, seconds)
    byStatus.set(status, (byStatus.get(status) ?? 0) + 1)
    let bucket = 0
    while (seconds > (BUCKETS[bucket] ?? Number.POSITIVE_INFINITY)) bucket += 1
    byBucket[bucket] = (byBucket[bucket] ?? 0) + 1
  }

  #answers(app: string, route: string, seconds: number): Answers {
    const known = this.#routes.get(route)?.get(app)
    if (known !== undefined) {
      known.seconds += seconds
      return known
    }
    const answers = { app, route, byStatus: new Map(), byBucket: [...BUCKETS, 0].fill(0), seconds }
    const apps = this.#routes.get(route) ?? new Map<string, Answers>()
    this.#routes.set(route, apps.set(app, answers))
    return answers
  }
}

/** A histogram whose samples are made when they are read. */
class AnswerTimes extends Histogram {
  readonly #all: () => readonly Answers[]

  constructor(all: () => readonly Answers[]) {
    super({ name: NAME, help: 'Time to answer a client.', labelNames: ['app', 'route'], registers: [] })
    this.#all = all
  }

  /** prom-client makes both of its formats of this. */
  async getForPromString() {
    const values = this.#all().flatMap(samplesOf)
    return { name: NAME, help: 'Time to answer a client.', type: 'histogram', values, aggregator: 'sum' }
  }
}

interface Sample {
  readonly metricName: string
  readonly value: number
  readonly labels: Record<string, string | number>
  readonly sharedLabels: Readonly<Record<string, string>>
}

function samplesOf({ app, route, byBucket, seconds }: Answers): readonly Sample[] {
  const sample = (suffix: string, value: number, labels = {}): Sample => {
    return { metricName: `${NAME}_${suffix}`, value, labels, sharedLabels: { app, route } }
  }
  let count = 0
  const buckets = byBucket.map((inside, index) => {
    count += inside
    return sample('bucket', count, { le: BUCKETS[index] ?? '+Inf' })
  })
  return [...buckets, sample('sum', seconds), sample('count', count)]
}

/** `weir_cache_reads_total`. */
export class ReadTally {
  readonly #feeds = new Map<string, Map<string, number>>()

  constructor(registry: Registry) {
    const feeds = this.#feeds
    new Counter({
      name: 'weir_cache_reads_total',
      help: 'Reads by what the cache made of them.',
      labelNames: ['feed', 'outcome'],
      registers: [registry],
      collect() {
        this.reset()
        for (const [feed, outcomes] of feeds)
          for (const [outcome, count] of outcomes) this.inc({ feed, outcome }, count)
      },
    })
  }

  add(feed: string, outcome: string): void {
    let outcomes = this.#feeds.get(feed)
    if (outcomes === undefined) {
      outcomes = new Map()
      this.#feeds.set(feed, outcomes)
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
}
