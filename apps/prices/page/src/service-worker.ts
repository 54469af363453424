import { keepPage } from '@weir/client/service-worker'

// Offline, the page opens as it was; its prices are in `keepValues()`.
keepPage({ name: 'weir.prices' })
