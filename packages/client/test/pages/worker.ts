import { leadTabs } from '../../src/tabs.ts'

leadTabs()
