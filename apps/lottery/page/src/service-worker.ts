import { keepPage } from '@weir/client/service-worker'

// Offline, the page opens as it was; how the round stood is in `keepValues()`.
keepPage({ name: 'weir.lottery' })
