import { leadTabs } from '@weir/client/tabs'

// Connects for all tabs of this page.
leadTabs()
