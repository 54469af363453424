/** Seconds up to which each bucket of a histogram counts. */
export const BUCKETS: readonly number[] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2.5, 5, 10]

export interface InstrumentPlan {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** At most three. */
  readonly labels?: readonly string[]
  /** How the values of several processes become one; by default their sum. */
  readonly aggregator?: 'sum' | 'max'
}

/** The values of one instrument, in the shape that prom-client gives and takes as JSON. */
export interface Samples {
  readonly name: string
  readonly help: string
  readonly type: unknown
  readonly aggregator: string
  readonly values: readonly Sample[]
}

interface Sample {
  /** The name with its suffix, for samples of a histogram. */
  readonly metricName?: string | undefined
  readonly value: number
  readonly labels: Readonly<Partial<Record<string, string | number>>>
}

interface Series {
  readonly labels: Readonly<Record<string, string | number>>
  value: number
  /** Of a histogram: how many values each bucket has; the last one is for values above all bounds. */
  readonly byBucket: number[]
}

type Label = string | number

/**
 * A counter, gauge or histogram. prom-client hashes the labels of every count, which takes longer than the rest of a cached read; here a
 * count is three look-ups and an addition, and becomes samples at a scrape.
 */
export class Instrument {
  readonly plan: InstrumentPlan
  readonly #series = new Map<Label, Map<Label, Map<Label, Series>>>()

  constructor(plan: InstrumentPlan) {
    this.plan = plan
    // Without labels there is one series, which is 0 until something is counted.
    if (plan.labels === undefined) this.add(0)
  }

  /** Adds to the series with these labels, in the order of the plan. */
  add(amount: number, first: Label = '', second: Label = '', third: Label = ''): void {
    this.#of(first, second, third).value += amount
  }

  set(value: number, first: Label = '', second: Label = '', third: Label = ''): void {
    this.#of(first, second, third).value = value
  }

  /** Counts a value of a histogram, in seconds. */
  observe(seconds: number, first: Label = '', second: Label = '', third: Label = ''): void {
    const series = this.#of(first, second, third)
    series.value += seconds
    let bucket = 0
    while (seconds > (BUCKETS[bucket] ?? Number.POSITIVE_INFINITY)) bucket += 1
    series.byBucket[bucket] = (series.byBucket[bucket] ?? 0) + 1
  }

  samples(): Samples {
    const { name, help, type, aggregator = 'sum' } = this.plan
    const all = [...this.#series.values()].flatMap((seconds) =>
      [...seconds.values()].flatMap((one) => [...one.values()]),
    )
    const values = type === 'histogram' ? all.flatMap((series) => histogramOf(name, series)) : all.map(plainOf)
    return { name, help, type, aggregator, values }
  }

  #of(first: Label, second: Label, third: Label): Series {
    return this.#series.get(first)?.get(second)?.get(third) ?? this.#create(first, second, third)
  }

  #create(first: Label, second: Label, third: Label): Series {
    const { labels = [], type } = this.plan
    const given = [first, second, third]
    const series: Series = {
      labels: Object.fromEntries(labels.map((label, index) => [label, given[index] ?? ''])),
      value: 0,
      byBucket: type === 'histogram' ? [...BUCKETS, 0].fill(0) : [],
    }
    const bySecond = this.#series.get(first) ?? new Map<Label, Map<Label, Series>>()
    const byThird = bySecond.get(second) ?? new Map<Label, Series>()
    this.#series.set(first, bySecond.set(second, byThird.set(third, series)))
    return series
  }
}

function plainOf({ labels, value }: Series): Sample {
  return { labels, value }
}

function histogramOf(name: string, { labels, value, byBucket }: Series): readonly Sample[] {
  let count = 0
  const buckets = byBucket.map((inside, index) => {
    count += inside
    return { metricName: `${name}_bucket`, value: count, labels: { le: BUCKETS[index] ?? '+Inf', ...labels } }
  })
  return [
    ...buckets,
    { metricName: `${name}_sum`, value, labels },
    { metricName: `${name}_count`, value: count, labels },
  ]
}
