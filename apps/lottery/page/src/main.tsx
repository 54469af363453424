import { createClient } from '@weir/client'
import { keepValues } from '@weir/client/offline'
import { applyTheme, createPageClock, Note } from '@weir/ui'
import { createRoot } from 'react-dom/client'
import { type Config, loadConfig, reaching } from './config.ts'
import { HistoryStore } from './history-store.ts'
import { LotteryPage } from './lottery-page.tsx'

applyTheme()
const place = document.getElementById('page')
if (place === null) throw new Error('index.html: expected an element with id "page", got none')
const root = createRoot(place)
loadConfig().then(open, refuse)

// Some browsers block service workers in private windows. Then the page only lacks offline support.
navigator.serviceWorker?.register('/service-worker.js', { type: 'module' }).catch(() => {})

function open(config: Config): void {
  const client = createClient({ ...reaching(config, location.origin), persist: keepValues() })
  const page = { client, clock: createPageClock(client), config, history: new HistoryStore(client) }
  root.render(<LotteryPage page={page} />)
}

function refuse(error: Error): void {
  const again = (
    <button type="button" className="button" onClick={() => location.reload()}>
      Try again
    </button>
  )
  root.render(
    <Note tone="lost" title="The lottery can’t be shown now" actions={again}>
      {error.message} Tickets are not affected: they are on the chain.
    </Note>,
  )
}
