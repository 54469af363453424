export { PAGE_CONFIG as default } from '@weir/ui/page-config'
