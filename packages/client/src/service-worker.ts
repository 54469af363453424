/** What a service worker is given, as far as it is needed here: the DOM's types don't have it. */
interface FetchEvent extends Event {
  readonly request: Request
  respondWith(answer: Promise<Response>): void
  waitUntil(done: Promise<unknown>): void
}

interface WorkerScope {
  readonly location: Location
  readonly clients: { claim(): Promise<void> }
  addEventListener(type: 'fetch' | 'activate' | 'install', hear: (event: FetchEvent) => void): void
  skipWaiting(): Promise<void>
}

/** Answers that are kept; the oldest go. */
const MOST = 100

/** How long the network may take before the page that is kept is shown, in milliseconds. */
const PATIENCE = 3000

/** Which page is kept, and under which name. */
export interface PageOptions {
  /** The cache: `weir` unless told. */
  readonly name?: string
  /** The page's address: `/` unless told. It is kept with its scripts and styles from the first visit on. */
  readonly page?: string
}

/**
 * Keeps a page for offline, with the answers of single values that it asked for: called in a service worker's script. The network goes first, so
 * nobody sees an old page who could have the new one; what never changes (`immutable`) comes from the cache. Streams and polls pass untouched, and a
 * value that comes from the cache says so: `Weir-Stale: ?1`, and its true `Age`. `keepValues()` in the page keeps what came by streams.
 */
export function keepPage({ name = 'weir', page = '/' }: PageOptions = {}): void {
  const scope = globalThis as unknown as WorkerScope
  scope.addEventListener('install', (event) => {
    void scope.skipWaiting()
    event.waitUntil(install(name, page))
  })
  scope.addEventListener('activate', (event) => event.waitUntil(scope.clients.claim()))
  scope.addEventListener('fetch', (event) => {
    const { request } = event
    const { origin, pathname, search } = new URL(request.url)
    const live = pathname.startsWith('/weir/') || /[?&]as=(sse|poll)\b/.test(search)
    if (request.method !== 'GET' || origin !== scope.location.origin || live) return
    if (request.headers.get('accept')?.includes('text/event-stream')) return
    event.respondWith(answer(name, request, (done) => event.waitUntil(done)))
  })
}

/** The page and what its source names; the first visit loaded them before anybody could keep them. */
async function install(name: string, page: string): Promise<void> {
  const cache = await caches.open(name)
  const came = await fetch(page)
  if (!came.ok) return
  await cache.put(page, came.clone())
  const source = await came.text()
  const named = [...source.matchAll(/<(?:script|link)[^>]* (?:src|href)="([^"]+)"/g)].map(([, address = '']) => address)
  await cache.addAll(named)
}

async function answer(name: string, request: Request, wait: (done: Promise<unknown>) => void): Promise<Response> {
  const cache = await caches.open(name)
  // A page is the same whatever its address says behind the path.
  const page = request.mode === 'navigate'
  const kept = await cache.match(request, { ignoreSearch: page, ignoreVary: true })
  if (kept?.headers.get('cache-control')?.includes('immutable')) return kept
  const asked = fetch(request).then((came) => {
    const may = came.ok && came.headers.get('cache-control')?.includes('no-store') !== true
    // A page's own address is its key, or each list of a watchlist would be kept as another page.
    const key = page ? new URL(request.url).pathname : request
    if (may) wait(keep(cache, key, came.clone()))
    return came
  })
  if (kept === undefined) return asked
  const late = new Promise<undefined>((resolve) => setTimeout(resolve, PATIENCE))
  const came = await Promise.race([asked, late]).catch(() => undefined)
  return came ?? aged(kept)
}

async function keep(cache: Cache, key: RequestInfo, came: Response): Promise<void> {
  // As the newest: what is put again stands last.
  await cache.delete(key)
  await cache.put(key, came)
  const kept = await cache.keys()
  for (const old of kept.slice(0, Math.max(0, kept.length - MOST))) await cache.delete(old)
}

/** What was kept, saying how old it is. */
function aged(kept: Response): Response {
  const headers = new Headers(kept.headers)
  const then = Date.parse(headers.get('date') ?? '')
  if (headers.has('weir-version')) {
    headers.set('weir-stale', '?1')
    if (then > 0) headers.set('age', String(Number(headers.get('age')) + Math.round((Date.now() - then) / 1000)))
  }
  const { status, statusText } = kept
  return new Response(kept.body, { status, statusText, headers })
}
