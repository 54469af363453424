import { keepPage } from '@weir/client/service-worker'

// Caches the page for offline use. `keepValues()` caches the round.
keepPage({ name: 'weir.lottery' })
