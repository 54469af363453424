export { PAGE_CONFIG as default } from '../../../scripts/page-config.ts'
