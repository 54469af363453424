import { keepPage } from '@weir/client/service-worker'

// Caches the page for offline use. `keepValues()` caches the prices.
keepPage({ name: 'weir.prices' })
