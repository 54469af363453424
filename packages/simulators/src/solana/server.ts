import { HttpSimulator, type Simulator, type SimulatorOptions, toSettings } from '../simulator.ts'
import type { Outcome } from '../tally.ts'
import type { Admission, Answer, Call, StatusFault, Upstream } from '../upstream.ts'
import { Chain } from './chain.ts'
import { stringify } from './json.ts'
import { Limits, type RpcLimits } from './limits.ts'
import { type Condition, Methods } from './methods.ts'
import { type RpcCall, type RpcRequest, readRequest } from './request.ts'
import { nodeUnhealthy, RpcError } from './rpc-error.ts'
import { Subscriptions } from './sockets.ts'

/** Faults on demand of a node, or of the provider before it. */
const SOLANA_FAULTS = [
  '429',
  '429-retry-after',
  'max-usage',
  '500',
  '502',
  '503',
  'unhealthy',
  'behind',
  'slot-back',
  'batch-refused',
  'socket-drop',
] as const

export type SolanaFault = (typeof SOLANA_FAULTS)[number]

export interface SolanaOptions extends SimulatorOptions {
  /** In whose words refusals are: `public`, the default, or `helius`. */
  readonly provider?: 'public' | 'helius'
  /** The values of `?api-key=` that are good; without any, nobody needs one. */
  readonly keys?: readonly string[]
  readonly limits?: RpcLimits
  /** Arrays of more than one call: `accept`, the default, or `refuse` with 403. */
  readonly batches?: 'accept' | 'refuse'
  /** Milliseconds a slot takes; 400 unless told. */
  readonly slotTime?: number
}

export interface Solana extends Simulator<SolanaFault> {
  /** The chain behind the answers: to compare with, and to give lamports and execute transactions past the limits. */
  readonly chain: Chain
  /** Where its WebSocket is: `ws://127.0.0.1:PORT`. */
  readonly socketUrl: string
  /** Lets the slots pass that the clock says are over, and tells who subscribed. Happens by itself once a slot. */
  advance(): void
}

/** Starts a Solana node, and its chain. It rejects when the port is taken. */
export async function startSolana(options: SolanaOptions = {}): Promise<Solana> {
  const settings = toSettings(options)
  const slotTime = options.slotTime ?? 400
  if (!(slotTime > 0)) throw new Error(`expected slotTime to be milliseconds above 0, got ${slotTime}`)
  const upstream = new SolanaUpstream(options, new Chain(slotTime, settings.clock))
  const simulator = new HttpSimulator(upstream, settings)
  upstream.sockets.lag = () => {
    const fault = simulator.holding('behind', 'slot-back')
    return fault === undefined ? 0 : (fault.slots ?? SLOTS_BACK)
  }
  await simulator.listen()
  const advance = () => upstream.chain.advance()
  const slots = setInterval(advance, slotTime)
  const stop = simulator.close.bind(simulator)
  const close = () => {
    clearInterval(slots)
    return stop()
  }
  return Object.assign(simulator, {
    chain: upstream.chain,
    socketUrl: simulator.url.replace('http', 'ws'),
    advance,
    close,
  })
}

const SOUND: Condition = { lag: 0, behind: false }
/** How far `behind` and `slot-back` lie back unless told. */
const SLOTS_BACK = 42

const GATEWAY: Readonly<Record<'500' | '502' | '503', string>> = {
  '500': 'Internal Server Error',
  '502': 'Bad Gateway',
  '503': 'Service Unavailable',
}

class SolanaUpstream implements Upstream<SolanaFault> {
  readonly name = 'solana'
  readonly statusFaults = SOLANA_FAULTS
  readonly chain: Chain
  readonly sockets: Subscriptions
  readonly #options: SolanaOptions
  readonly #methods: Methods
  readonly #requests = new WeakMap<Call, RpcRequest>()
  #limits: Limits

  constructor(options: SolanaOptions, chain: Chain) {
    this.chain = chain
    this.sockets = new Subscriptions(chain)
    this.#options = options
    this.#methods = new Methods(chain)
    this.#limits = new Limits(options.limits ?? {})
  }

  reset(): void {
    this.sockets.cut()
    this.chain.reset()
    this.#limits = new Limits(this.#options.limits ?? {})
  }

  gauges(): Readonly<Record<string, number>> {
    this.chain.advance()
    return { slot: this.chain.slot, ...this.sockets.gauges }
  }

  routes(call: Call): readonly string[] {
    return this.#read(call).calls.map(({ method }) => (this.#methods.has(method) ? method : 'other'))
  }

  meets(kind: string, call: Call): boolean {
    if (kind === 'batch-refused') return isLong(this.#read(call))
    return kind !== this.sockets.fault
  }

  admit(call: Call, fault: StatusFault<SolanaFault> | undefined): Admission {
    this.chain.advance()
    const request = this.#read(call)
    const organisation = this.#find(call)
    if (organisation === undefined) {
      return refuse('refused', undefined, 401, { code: -32401, message: 'invalid api key provided' })
    }
    if (call.method !== 'POST') {
      return { outcome: 'served', organisation, standing: {}, refusal: plain(405, 'Used HTTP Method is not allowed.') }
    }
    const barred = fault?.kind === '429' || fault?.kind === '429-retry-after' || fault?.kind === 'max-usage'
    const methods = this.routes(call)
    const only = fault?.path === '/' ? undefined : methods.find((name) => `/${name}`.startsWith(fault?.path ?? '/'))
    const { granted, freeIn, headers } = this.#limits.arrive(methods, call.at, barred, barred ? only : undefined)
    const isPublic = this.#options.provider !== 'helius'
    const standing = isPublic ? { 'x-ratelimit-tier': 'free', ...headers } : {}
    if (barred) {
      const wait = fault.kind === '429-retry-after' ? fault.lasts : undefined
      return this.#tooMany('faulted', organisation, request, standing, wait, fault.kind === 'max-usage')
    }
    if (!granted) return this.#tooMany('refused', organisation, request, standing, isPublic ? freeIn : undefined, false)

    switch (fault?.kind) {
      case '500':
      case '502':
      case '503':
        return { outcome: 'faulted', organisation, standing, refusal: plain(Number(fault.kind), GATEWAY[fault.kind]) }
      case 'batch-refused':
        return refuse('faulted', organisation, 403, BATCH_REFUSED)
      case 'unhealthy': {
        const refusal = this.#write(request, standing, () => {
          throw nodeUnhealthy()
        })
        return { outcome: 'faulted', organisation, standing, refusal }
      }
      case 'behind':
      case 'slot-back': {
        const condition = { lag: fault.slots ?? SLOTS_BACK, behind: fault.kind === 'behind' }
        return { outcome: 'faulted', organisation, standing, refusal: this.#answer(request, standing, condition) }
      }
      default:
        if (this.#options.batches === 'refuse' && isLong(request)) {
          return refuse('refused', organisation, 403, BATCH_REFUSED)
        }
        return { outcome: 'served', organisation, standing }
    }
  }

  answer(call: Call, admission: Admission): Answer {
    return this.#answer(this.#read(call), admission.standing, SOUND)
  }

  tooLarge(): Answer {
    return plain(413, 'Payload Too Large')
  }

  #read(call: Call): RpcRequest {
    const known = this.#requests.get(call)
    if (known !== undefined) return known
    const request = readRequest(call.body)
    this.#requests.set(call, request)
    return request
  }

  #find(call: Call): string | undefined {
    const { keys } = this.#options
    if (keys === undefined) return 'anyone'
    return keys.includes(call.query.get('api-key') ?? '') ? 'default' : undefined
  }

  /** 429 in the provider's words; `wait` in milliseconds is what `Retry-After` says, in whole seconds. */
  #tooMany(
    outcome: Outcome,
    organisation: string,
    request: RpcRequest,
    standing: Readonly<Record<string, string>>,
    wait: number | undefined,
    isUsedUp: boolean,
  ): Admission {
    const headers = { ...standing, ...(wait !== undefined && { 'retry-after': String(Math.ceil(wait / 1_000)) }) }
    if (isUsedUp) return refuse(outcome, organisation, 429, { code: -32429, message: 'max usage reached' }, headers)
    if (this.#options.provider === 'helius') {
      return refuse(outcome, organisation, 429, { code: -32429, message: 'rate limited' }, headers)
    }
    const [only] = request.batch ? [] : request.calls
    const error = { code: 429, message: 'Too many requests for a specific RPC call' }
    return refuse(outcome, organisation, 429, error, headers, only?.id)
  }

  #answer(request: RpcRequest, headers: Readonly<Record<string, string>>, condition: Condition): Answer {
    return this.#write(request, headers, ({ method, params, error }) => {
      if (error !== undefined) throw error
      return this.#methods.call(method, params, condition)
    })
  }

  /** What each call comes to, in the form the request had. */
  #write(
    { batch, calls }: RpcRequest,
    headers: Readonly<Record<string, string>>,
    result: (call: RpcCall) => unknown,
  ): Answer {
    const answers = calls
      .map((call) => ({ jsonrpc: '2.0', ...settle(() => result(call)), id: call.id }))
      .filter(({ id }) => id !== undefined)
    return json(200, batch ? answers : answers[0], headers)
  }
}

const BATCH_REFUSED = {
  code: -32403,
  message: 'Batch requests are only available for paid plans. Please upgrade if you would like to gain access',
}

function isLong({ batch, calls }: RpcRequest): boolean {
  return batch && calls.length > 1
}

function settle(result: () => unknown): { readonly result: unknown } | { readonly error: RpcError } {
  try {
    return { result: result() }
  } catch (error) {
    if (error instanceof RpcError) return { error }
    throw error
  }
}

function refuse(
  outcome: Outcome,
  organisation: string | undefined,
  status: number,
  error: { readonly code: number; readonly message: string },
  headers: Readonly<Record<string, string>> = {},
  id?: unknown,
): Admission {
  return { outcome, organisation, standing: {}, refusal: json(status, { jsonrpc: '2.0', error, id }, headers) }
}

/** Of nothing, as notifications have it, nothing is written. */
function json(status: number, value: unknown, headers: Readonly<Record<string, string>>): Answer {
  const body = value === undefined ? '' : stringify(value)
  return { status, headers: { 'content-type': 'application/json; charset=utf-8', ...headers }, body }
}

function plain(status: number, body: string): Answer {
  return { status, headers: { 'content-type': 'text/plain' }, body }
}
