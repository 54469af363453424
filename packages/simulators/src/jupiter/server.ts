import type { Clock } from '../clock.ts'
import { hash } from '../random.ts'
import { HttpSimulator, type Simulator, type SimulatorOptions, toSettings } from '../simulator.ts'
import type { Outcome } from '../tally.ts'
import type { Admission, Answer, Call, StatusFault, Upstream } from '../upstream.ts'
import { Market } from './market.ts'
import { type Keys, Organisations } from './organisations.ts'
import type { PlanName } from './plans.ts'
import { pricesV2, pricesV3, type TooManyIds } from './prices.ts'
import { type Reply, reply } from './reply.ts'
import { Swaps } from './swap.ts'
import { CATEGORIES, INTERVALS, ranked, recent, search, tagged } from './tokens.ts'

/** Refusals on demand: by the plan, or by the firewall in front of it. */
export const JUPITER_FAULTS = ['403', '403-firewall', '429', '429-firewall', '500', '502', '503'] as const

export type JupiterFault = (typeof JUPITER_FAULTS)[number]

export interface JupiterOptions extends SimulatorOptions {
  /** The plan of every organisation that has a key; launch (50 a second) unless told. */
  readonly plan?: PlanName
  /** Counts by the second what the plan counts by the minute: for launch 50 in any 1 s. */
  readonly strict?: boolean
  /** The keys there are and whose they are; without any, all that begin with `jup_` are one organisation's. */
  readonly keys?: Keys
  /** How many tokens there are; 301 unless told. */
  readonly tokens?: number
  /** More than 50 ids: `refuse` with 400, the default, or `truncate` to the first 50. */
  readonly tooManyIds?: TooManyIds
}

export interface Jupiter extends Simulator<JupiterFault> {
  /** The market behind the answers, to compare with. */
  readonly market: Market
}

/** Starts a stand-in for api.jup.ag. It rejects when the port is taken. */
export async function startJupiter(options: JupiterOptions = {}): Promise<Jupiter> {
  const settings = toSettings(options)
  const upstream = new JupiterUpstream(options, settings)
  const simulator = new HttpSimulator(upstream, settings)
  await simulator.listen()
  return Object.assign(simulator, { market: upstream.market })
}

interface Timing {
  readonly seed: number
  readonly clock: Clock
}

type Headers = Readonly<Record<string, string>>

const STATUS: Readonly<Record<JupiterFault, Reply>> = {
  '403': reply(403, { code: 403, message: 'API key does not have access to this endpoint' }),
  '403-firewall': reply(403, { code: 403, message: 'Request blocked by firewall' }),
  '429': reply(429, { code: 429, message: '[API Gateway] Too many requests' }),
  '429-firewall': reply(429, { code: 429, message: 'Too many requests' }),
  '500': reply(500, { code: 500, message: 'Internal Server Error' }),
  '502': reply(502, { code: 502, message: 'Bad Gateway' }),
  '503': reply(503, { code: 503, message: 'Service Unavailable' }),
}
const UNAUTHORIZED = reply(401, { code: 401, message: 'Unauthorized' })
const UNKNOWN = reply(404, { code: 404, message: 'Not Found' })

const EXECUTE = 'POST /swap/v2/execute'

type Handler = (call: Call) => Reply

class JupiterUpstream implements Upstream<JupiterFault> {
  readonly name = 'jupiter'
  readonly statusFaults = JUPITER_FAULTS
  readonly market: Market
  readonly #timing: Timing
  readonly #organisations: Organisations
  readonly #swaps: Swaps
  /** By method and path. */
  readonly #routes: ReadonlyMap<string, Handler>
  #openedAt: number
  #requests = 0

  constructor(options: JupiterOptions, timing: Timing) {
    this.market = new Market(timing.seed, options.tokens)
    this.#timing = timing
    this.#organisations = new Organisations(options.plan ?? 'launch', options.strict ?? false, options.keys ?? [])
    this.#swaps = new Swaps(this.market)
    this.#openedAt = timing.clock.monotonic()
    this.#routes = this.#listRoutes(options.tooManyIds ?? 'refuse')
  }

  reset(at: number): void {
    this.#openedAt = at
    this.#organisations.reset()
    this.#swaps.reset()
  }

  routes(call: Call): readonly string[] {
    const name = `${call.method} ${call.path}`
    return [this.#routes.has(name) ? name : 'other']
  }

  admit(call: Call, fault: StatusFault<JupiterFault> | undefined): Admission {
    const key = call.headers['x-api-key']
    const organisation = this.#organisations.find(Array.isArray(key) ? key[0] : key)
    if (organisation === undefined) return this.#refuse('refused', undefined, UNAUTHORIZED)
    const { name } = organisation
    const demanded = fault === undefined ? undefined : STATUS[fault.kind]
    // The firewall and the check of what a key may do stand before the counting.
    if (demanded?.status === 403) return this.#refuse('faulted', name, demanded)

    const meter = `${call.method} ${call.path}` === EXECUTE ? organisation.execute : organisation.calls
    if (demanded?.status === 429) {
      const { current, remaining } = meter.arrive(call.at, true)
      return this.#refuse('faulted', name, demanded, this.#say(current, Math.min(0, remaining), fault?.lasts ?? 0))
    }
    const { granted, current, remaining, freeIn } = meter.arrive(call.at, false)
    const standing = this.#say(current, remaining, freeIn)
    if (!granted) return this.#refuse('refused', name, STATUS['429'], standing)
    if (demanded !== undefined) return this.#refuse('faulted', name, demanded)
    return { outcome: 'served', organisation: name, standing }
  }

  answer(call: Call, admission: Admission): Answer {
    const handler = this.#routes.get(`${call.method} ${call.path}`)
    const answer = handler === undefined ? UNKNOWN : handler(call)
    return this.#write(answer, answer.status === 200 ? admission.standing : {})
  }

  tooLarge(): Answer {
    return this.#write(reply(413, { code: 413, message: 'Payload Too Large' }), {})
  }

  #refuse(outcome: Outcome, organisation: string | undefined, refusal: Reply, standing: Headers = {}): Admission {
    return { outcome, organisation, standing, refusal: this.#write(refusal, standing) }
  }

  #write({ status, body }: Reply, standing: Headers): Answer {
    this.#requests += 1
    const id = [1, 2, 3, 4].map((part) => hash(this.#timing.seed, this.#requests, part).toString(16).padStart(8, '0'))
    return {
      status,
      headers: { 'content-type': 'application/json', 'x-api-gateway-request-id': id.join(''), ...standing },
      body: JSON.stringify(body),
    }
  }

  /** What 200 and 429 say of the limit. Rounded up: whoever comes at the second named is not a moment too early. */
  #say(current: number, remaining: number, freeIn: number): Headers {
    return {
      'x-ratelimit-remaining': String(remaining),
      'x-ratelimit-current': String(current),
      'x-ratelimit-reset': String(Math.ceil((this.#timing.clock.wall() + freeIn) / 1_000)),
    }
  }

  #listRoutes(tooMany: TooManyIds): ReadonlyMap<string, Handler> {
    const market = this.market
    const age = (call: Call) => call.at - this.#openedAt
    const moment = (call: Call) => ({ at: age(call), now: this.#timing.clock.wall() })
    const routes: [string, Handler][] = [
      ['GET /price/v3', (call) => pricesV3(market, call.query, age(call), tooMany)],
      ['GET /price/v2', (call) => pricesV2(market, call.query, age(call), tooMany)],
      ['GET /tokens/v2/search', (call) => search(market, call.query, moment(call))],
      ['GET /tokens/v2/tag', (call) => tagged(market, call.query, moment(call))],
      ['GET /tokens/v2/recent', (call) => recent(market, moment(call))],
      ['GET /swap/v1/quote', (call) => this.#swaps.quote(call.query, age(call))],
      ['GET /swap/v2/order', (call) => this.#swaps.order(call.query, age(call))],
      [EXECUTE, (call) => this.#swaps.execute(call.body)],
    ]
    for (const category of CATEGORIES) {
      for (const interval of INTERVALS) {
        const rank: Handler = (call) => ranked(market, category, interval, call.query, moment(call))
        routes.push([`GET /tokens/v2/${category}/${interval}`, rank])
      }
    }
    return new Map(routes)
  }
}
