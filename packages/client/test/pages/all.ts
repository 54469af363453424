export { createClient } from '../../src/index.ts'
export { keepValues } from '../../src/offline.ts'
export { shareTabs } from '../../src/tabs.ts'
