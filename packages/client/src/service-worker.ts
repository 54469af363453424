/** The service worker types that are used here; the DOM library lacks them. */
interface FetchEvent extends Event {
  readonly request: Request
  respondWith(answer: Promise<Response>): void
  waitUntil(done: Promise<unknown>): void
}

interface ForgetEvent extends Event {
  readonly data: unknown
  readonly ports: readonly MessagePort[]
  waitUntil(done: Promise<unknown>): void
}

interface WorkerScope {
  readonly location: Location
  readonly registration: { readonly scope: string }
  readonly clients: { claim(): Promise<void> }
  addEventListener(type: 'fetch' | 'activate' | 'install', listener: (event: FetchEvent) => void): void
  addEventListener(type: 'message', listener: (event: ForgetEvent) => void): void
  skipWaiting(): Promise<void>
}

/** Maximum cached answers; the oldest are dropped. */
const MAX_ANSWERS = 100

/** How long the network may take before the cached page is shown, in milliseconds. */
const NETWORK_TIMEOUT = 3000

/** The page to cache, and the name of the cache. */
export interface PageOptions {
  /** Prefix of the cache name: `weir` by default. The address of the worker's scope follows. */
  readonly name?: string
  /** Address of the page: `/` by default. It is cached with its scripts and styles from the first visit on. */
  readonly page?: string
}

/** When an answer was cached, in milliseconds since 1970 by this machine's clock. */
const KEPT_AT = 'weir-kept-at'

/** Link relations that are part of the page. Others, such as `canonical` and `preconnect`, are not. */
const PARTS = /\b(stylesheet|icon|manifest|modulepreload|preload)\b/i

/** Fields in `Vary` that make an answer specific to a caller. */
const CALLER_FIELDS = /\*|cookie|authorization/i

/**
 * Caches a page for offline use, with the answers of public values that it requested. Call it in the script of a
 * service worker. The network comes first, so an old page is shown only if the new one is not reachable. Content that
 * never changes (`immutable`) comes from the cache. Streams and polls are not touched. A value from the cache has
 * `Weir-Stale: ?1` and its true `Age`.
 *
 * Nothing specific to a caller is cached: only answers with `public` or `immutable`, and the page as an unknown caller
 * sees it, fetched without credentials. `signIn()` and `signOut()` of the client still clear the cache.
 */
export function keepPage({ name = 'weir', page = '/' }: PageOptions = {}): void {
  const scope = globalThis as unknown as WorkerScope
  const pages = createPages(`${name} ${scope.registration.scope}`, new URL(page, scope.location.href))
  scope.addEventListener('install', (event) => {
    void scope.skipWaiting()
    event.waitUntil(pages.install())
  })
  // Earlier releases used the name without scope, and cached answers of callers too.
  scope.addEventListener('activate', (event) =>
    event.waitUntil(Promise.all([scope.clients.claim(), caches.delete(name)])),
  )
  scope.addEventListener('message', (event) => {
    if ((event.data as { weir?: unknown } | null)?.weir !== 'forget') return
    event.waitUntil(pages.forget().then(() => event.ports[0]?.postMessage('forgotten')))
  })
  scope.addEventListener('fetch', (event) => {
    const { request } = event
    const { origin, pathname, search } = new URL(request.url)
    const live = pathname.startsWith('/weir/') || /[?&]as=(sse|poll)\b/.test(search)
    if (request.method !== 'GET' || origin !== scope.location.origin || live) return
    if (request.headers.get('accept')?.includes('text/event-stream') || request.headers.has('authorization')) return
    event.respondWith(pages.answer(request, (done) => event.waitUntil(done)))
  })
}

interface Pages {
  install(): Promise<void>
  forget(): Promise<void>
  answer(request: Request, wait: (done: Promise<unknown>) => void): Promise<Response>
}

function createPages(name: string, page: URL): Pages {
  /** Counts callers: answers under way during a change of caller are not cached. */
  let callerCount = 0

  /** Caches the page and the parts its source names. The first visit loaded them before the worker ran. */
  async function install(at = page): Promise<void> {
    const startedAs = callerCount
    const response = await anonymous(at)
    if (!response) return
    await keep(startedAs, at.pathname, response.clone())
    const cache = await caches.open(name)
    const parts = partsOf(await response.text(), at)
    // A part that fails does not affect the others.
    await Promise.allSettled(
      parts.map(async (part) => {
        // Scripts fetch with this `Accept`, and an answer may depend on it.
        const key = new Request(part, { headers: { accept: '*/*' } })
        if (isImmutable(await cache.match(key))) return
        const response = await anonymous(part)
        if (response) await keep(startedAs, key, response)
      }),
    )
  }

  /** Fetches as an unknown caller; undefined if there is no such answer. */
  async function anonymous(address: URL): Promise<Response | undefined> {
    const response = await fetch(address, { credentials: 'omit', cache: 'no-cache' })
    return response.ok && !response.redirected && !isOfCaller(response) ? response : undefined
  }

  /** Caches a script, style or image without caching headers, as an unknown caller sees it. */
  async function keepAnonymous(startedAs: number, request: Request): Promise<void> {
    const response = await anonymous(new URL(request.url))
    if (response) await keep(startedAs, request, response)
  }

  async function keep(startedAs: number, key: RequestInfo, response: Response): Promise<void> {
    const headers = new Headers(response.headers)
    headers.set(KEPT_AT, String(Date.now()))
    const body = await response.arrayBuffer()
    const { status, statusText } = response
    const cache = await caches.open(name)
    if (startedAs !== callerCount) return
    // Deleted first, so that it becomes the newest.
    await cache.delete(key)
    await cache.put(key, new Response(body, { status, statusText, headers }))
    if (startedAs !== callerCount) await cache.delete(key)
    const kept = await cache.keys()
    for (const old of kept.slice(0, Math.max(0, kept.length - MAX_ANSWERS))) await cache.delete(old)
  }

  return {
    install,

    async forget() {
      callerCount += 1
      await caches.delete(name)
      // The page is available offline again only after it was opened once.
      await install().catch(() => {})
    },

    async answer(request, wait) {
      const startedAs = callerCount
      const cache = await caches.open(name)
      const opens = request.mode === 'navigate'
      const { pathname, origin } = new URL(request.url)
      // A page is the same for any query, and for any request headers.
      const kept = opens ? await cache.match(pathname, { ignoreVary: true }) : await cache.match(request)
      if (kept && isImmutable(kept)) return kept
      const fetched = fetch(request).then((response) => {
        if (response.status === 200 && isPublic(response))
          wait(keep(startedAs, opens ? pathname : request, response.clone()))
        else if (opens && response.ok) wait(install(new URL(pathname, origin)).catch(() => {}))
        else if (request.destination !== '' && response.ok) wait(keepAnonymous(startedAs, request).catch(() => {}))
        return response
      })
      if (kept === undefined) return fetched
      const late = new Promise<undefined>((resolve) => setTimeout(resolve, NETWORK_TIMEOUT))
      const response = await Promise.race([fetched, late]).catch(() => undefined)
      return response ?? aged(kept)
    },
  }
}

/** Whether an answer never changes. */
function isImmutable(kept: Response | undefined): boolean {
  return /\bimmutable\b/i.test(kept?.headers.get('cache-control') ?? '')
}

/** Whether an answer is specific to a caller, or must not be stored. */
function isOfCaller({ headers }: Response): boolean {
  return (
    /\b(private|no-store)\b/i.test(headers.get('cache-control') ?? '') || CALLER_FIELDS.test(headers.get('vary') ?? '')
  )
}

/** Whether an answer is public. A cookie that comes with it cannot be seen here. */
function isPublic(response: Response): boolean {
  return /\b(public|immutable)\b/i.test(response.headers.get('cache-control') ?? '') && !isOfCaller(response)
}

/** The scripts, styles, icons and similar parts of the same origin that a page's source names. */
function partsOf(source: string, page: URL): readonly URL[] {
  const parts = new Map<string, URL>()
  for (const [tag, kind] of source.matchAll(/<(script|link)\b(?:"[^"]*"|'[^']*'|[^>"'])*>/gi)) {
    const attribute = (name: string) => {
      const [, double, single, bare] =
        new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s"'>]+))`, 'i').exec(tag) ?? []
      return (double ?? single ?? bare)?.replaceAll('&amp;', '&')
    }
    const script = kind?.toLowerCase() === 'script'
    if (!script && !PARTS.test(attribute('rel') ?? '')) continue
    const address = attribute(script ? 'src' : 'href')
    const part = address === undefined ? null : URL.parse(address, page)
    if (part?.origin === page.origin) parts.set(part.href, part)
  }
  return [...parts.values()]
}

/** A cached answer with its age. */
function aged(kept: Response): Response {
  const headers = new Headers(kept.headers)
  const keptAt = Number(headers.get(KEPT_AT))
  headers.delete(KEPT_AT)
  if (headers.has('weir-version')) {
    headers.set('weir-stale', '?1')
    // By this machine's clock only, since the server's may differ.
    headers.set('age', String(Number(headers.get('age')) + Math.max(0, Math.round((Date.now() - keptAt) / 1000))))
  }
  const { status, statusText } = kept
  return new Response(kept.body, { status, statusText, headers })
}
