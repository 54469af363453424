/** What a service worker is given, as far as it is needed here: the DOM's types don't have it. */
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
  addEventListener(type: 'fetch' | 'activate' | 'install', hear: (event: FetchEvent) => void): void
  addEventListener(type: 'message', hear: (event: ForgetEvent) => void): void
  skipWaiting(): Promise<void>
}

/** Answers that are kept; the oldest go. */
const MOST = 100

/** How long the network may take before the page that is kept is shown, in milliseconds. */
const PATIENCE = 3000

/** Which page is kept, and under which name. */
export interface PageOptions {
  /** How the name of the cache begins: `weir` by default. The address of the worker's scope follows. */
  readonly name?: string
  /** The page's address: `/` by default. It is kept with its scripts and styles from the first visit on. */
  readonly page?: string
}

/** When an answer was kept, milliseconds since 1970 by this machine's clock. */
const KEPT_AT = 'weir-kept-at'

/** Links of a page that are part of it; others name other places, such as `canonical` and `preconnect`. */
const PARTS = /\b(stylesheet|icon|manifest|modulepreload|preload)\b/i

/** Fields on which an answer may depend that says whose it is. */
const CALLER_FIELDS = /\*|cookie|authorization/i

/**
 * Keeps a page for offline, with the answers of single public values that it asked for: called in a service worker's script. The network goes
 * first, so that an old page is shown only where the new one can't be had; what never changes (`immutable`) comes from the cache. Streams and
 * polls pass untouched, and a value that comes from the cache says so: `Weir-Stale: ?1`, and its true `Age`.
 *
 * Nothing of a caller is ever kept: only answers that say `public` or `immutable`, and the page as it is for a caller that is not known, since
 * it is asked for without credentials. `signIn()` and `signOut()` of the client have it drop everything and begin again all the same.
 */
export function keepPage({ name = 'weir', page = '/' }: PageOptions = {}): void {
  const scope = globalThis as unknown as WorkerScope
  const pages = createPages(`${name} ${scope.registration.scope}`, new URL(page, scope.location.href))
  scope.addEventListener('install', (event) => {
    void scope.skipWaiting()
    event.waitUntil(pages.install())
  })
  // Under its name alone an earlier build kept answers of callers too.
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
  /** Counts callers: what was under way when the caller changed is not kept. */
  let era = 0

  /** The page and what its source names; the first visit loaded them before they could be kept. */
  async function install(at = page): Promise<void> {
    const asked = era
    const came = await anonymous(at)
    if (!came) return
    await keep(asked, at.pathname, came.clone())
    const cache = await caches.open(name)
    const parts = partsOf(await came.text(), at)
    // One that can't be had is none of the others' concern.
    await Promise.allSettled(
      parts.map(async (part) => {
        // As scripts ask for what they fetch: an answer may depend on that.
        const key = new Request(part, { headers: { accept: '*/*' } })
        if (isImmutable(await cache.match(key))) return
        const came = await anonymous(part)
        if (came) await keep(asked, key, came)
      }),
    )
  }

  /** As a caller that is not known sees it; undefined when there is no such answer. */
  async function anonymous(address: URL): Promise<Response | undefined> {
    const came = await fetch(address, { credentials: 'omit', cache: 'no-cache' })
    return came.ok && !came.redirected && !isOfCaller(came) ? came : undefined
  }

  /** A script, style or image that does not say whose it is. */
  async function keepAnonymous(asked: number, request: Request): Promise<void> {
    const came = await anonymous(new URL(request.url))
    if (came) await keep(asked, request, came)
  }

  async function keep(asked: number, key: RequestInfo, came: Response): Promise<void> {
    const headers = new Headers(came.headers)
    headers.set(KEPT_AT, String(Date.now()))
    const body = await came.arrayBuffer()
    const { status, statusText } = came
    const cache = await caches.open(name)
    if (asked !== era) return
    // As the newest: what is put again stands last.
    await cache.delete(key)
    await cache.put(key, new Response(body, { status, statusText, headers }))
    if (asked !== era) await cache.delete(key)
    const kept = await cache.keys()
    for (const old of kept.slice(0, Math.max(0, kept.length - MOST))) await cache.delete(old)
  }

  return {
    install,

    async forget() {
      era += 1
      await caches.delete(name)
      // Offline the page is there again only after it was opened once.
      await install().catch(() => {})
    },

    async answer(request, wait) {
      const asked = era
      const cache = await caches.open(name)
      const opens = request.mode === 'navigate'
      const { pathname, origin } = new URL(request.url)
      // A page is the same whatever its address says behind the path, and whatever a browser asks for beside it.
      const kept = opens ? await cache.match(pathname, { ignoreVary: true }) : await cache.match(request)
      if (kept && isImmutable(kept)) return kept
      const fetched = fetch(request).then((came) => {
        if (came.status === 200 && isPublic(came)) wait(keep(asked, opens ? pathname : request, came.clone()))
        else if (opens && came.ok) wait(install(new URL(pathname, origin)).catch(() => {}))
        else if (request.destination !== '' && came.ok) wait(keepAnonymous(asked, request).catch(() => {}))
        return came
      })
      if (kept === undefined) return fetched
      const late = new Promise<undefined>((resolve) => setTimeout(resolve, PATIENCE))
      const came = await Promise.race([fetched, late]).catch(() => undefined)
      return came ?? aged(kept)
    },
  }
}

/** Whether an answer never changes. */
function isImmutable(kept: Response | undefined): boolean {
  return /\bimmutable\b/i.test(kept?.headers.get('cache-control') ?? '')
}

/** Whether an answer says that it is one caller's, or must not be kept. */
function isOfCaller({ headers }: Response): boolean {
  return (
    /\b(private|no-store)\b/i.test(headers.get('cache-control') ?? '') || CALLER_FIELDS.test(headers.get('vary') ?? '')
  )
}

/** Whether an answer says that it is everybody's. A cookie that comes with one can't be seen here. */
function isPublic(came: Response): boolean {
  return /\b(public|immutable)\b/i.test(came.headers.get('cache-control') ?? '') && !isOfCaller(came)
}

/** The scripts, styles, icons and the like that a page's source names, as far as they are of its own site. */
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

/** What was kept, saying how old it is. */
function aged(kept: Response): Response {
  const headers = new Headers(kept.headers)
  const keptAt = Number(headers.get(KEPT_AT))
  headers.delete(KEPT_AT)
  if (headers.has('weir-version')) {
    headers.set('weir-stale', '?1')
    // By the machine's own clock alone: that of the server may differ.
    headers.set('age', String(Number(headers.get('age')) + Math.max(0, Math.round((Date.now() - keptAt) / 1000))))
  }
  const { status, statusText } = kept
  return new Response(kept.body, { status, statusText, headers })
}
