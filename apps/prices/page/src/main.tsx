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
  // A shared link may open a token that is not on the list.
  prices.follow(token === undefined || mints.includes(token) ? mints : [...mints, token])
}
watchlist.subscribe(follow)
follow()

// Some browsers block service workers in private windows. Then the page only lacks offline support.
navigator.serviceWorker?.register('/service-worker.js', { type: 'module' }).catch(() => {})

const root = document.getElementById('page')
if (root === null) throw new Error('index.html: expected an element with id "page", got none')
createRoot(root).render(<PricesPage page={{ client, clock, prices, watchlist, tokens: new TokenBook() }} />)
