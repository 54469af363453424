import { applyTheme } from '@weir/ui'
import { createRoot } from 'react-dom/client'
import { browserPorts } from './browser-ports.ts'
import { PriceFeed } from './price-feed.ts'
import { PriceStore } from './price-store.ts'
import { PricesPage } from './prices-page.tsx'
import { ServerClock } from './server-clock.ts'
import { TokenBook } from './token-book.ts'
import { WatchlistStore } from './watchlist-store.ts'

applyTheme()
const clock = new ServerClock()
const prices = new PriceStore(clock)
const feed = new PriceFeed(browserPorts, prices.apply)
const watchlist = new WatchlistStore()
const follow = () => {
  const { mints, token } = watchlist.get()
  // A shared address may open a token that is on nobody's list.
  const followed = token === undefined || mints.includes(token) ? mints : [...mints, token]
  prices.follow(followed)
  feed.watch(followed)
}
watchlist.subscribe(follow)
follow()

// Waking up or coming back on the network is worth a try at once, not at the end of a long pause.
addEventListener('online', () => feed.retryNow())
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') feed.retryNow()
})

const place = document.getElementById('page')
if (place === null) throw new Error('index.html has no element #page to draw the page in.')
createRoot(place).render(<PricesPage page={{ clock, prices, feed, watchlist, tokens: new TokenBook() }} />)
