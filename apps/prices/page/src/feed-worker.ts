import { leadTabs } from '@weir/client/tabs'

// Holds the connection for all tabs of this page.
leadTabs()
