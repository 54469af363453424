import { createClient } from '@weir/client'
import { keepValues } from '@weir/client/offline'
import { shareTabs } from '@weir/client/tabs'
import { applyTheme, createPageClock } from '@weir/ui'
import { createRoot } from 'react-dom/client'
import { PriceStore } from './price-store.ts'
import { PricesPage } from './prices-page.tsx'
import { TokenBook } from './token-book.ts'
import { WatchlistStore } from './watchlist-store.ts'

applyTheme()
const client = createClient({
  share: shareTabs({
    worker: () => new SharedWorker(new URL('./feed-worker.ts', import.meta.url), { type: 'module', name: 'weir' }),
  }),
  persist: keepValues(),
})
const clock = createPageClock(client)
const prices = new PriceStore(client)
const watchlist = new WatchlistStore()
const follow = () => {
  const { mints, token } = watchlist.get()
  // A shared address may open a token that is on nobody's list.
  prices.follow(token === undefined || mints.includes(token) ? mints : [...mints, token])
}
watchlist.subscribe(follow)
follow()

// Where it may not run, as in private windows of some browsers, the page only does not open offline.
navigator.serviceWorker?.register('/service-worker.js', { type: 'module' }).catch(() => {})

const place = document.getElementById('page')
if (place === null) throw new Error('index.html has no element #page to draw the page in.')
createRoot(place).render(<PricesPage page={{ client, clock, prices, watchlist, tokens: new TokenBook() }} />)
