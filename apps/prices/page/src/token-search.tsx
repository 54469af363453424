import {
  formatPrice,
  formatUsd,
  Icon,
  Monogram,
  Note,
  SearchBox,
  type SearchOption,
  Skeleton,
  shortAddress,
} from '@weir/ui'
import { useEffect, useState } from 'react'
import { isMint } from './mint.ts'
import { usePage } from './page-context.ts'
import { useWatchlist } from './page-hooks.ts'
import { type FoundToken, searchTokens } from './token-service.ts'

// Debounce in milliseconds: long enough to combine keystrokes, short enough to go unnoticed.
const DEBOUNCE = 180

// The server's limit. A longer text is not a symbol, a name or a mint.
const LONGEST = 100

type Search =
  | { readonly state: 'idle' | 'busy' | 'too long' }
  | { readonly state: 'found'; readonly tokens: readonly FoundToken[] }
  | { readonly state: 'failed'; readonly why: string }

/** Finds tokens and adds them to the list. */
export function TokenSearch() {
  const { watchlist, tokens } = usePage()
  const { mints } = useWatchlist()
  const [text, setText] = useState('')
  const [round, setRound] = useState(0)
  const query = text.trim()
  const search = useSearch(query, round)
  const found = search.state === 'found' ? search.tokens : []
  // A mint address can be watched without a search, even if it is unknown or the search is down.
  const bare = search.state !== 'busy' && isMint(query) && !found.some(({ mint }) => mint === query)
  const options: SearchOption[] = found.map((token) => ({
    id: token.mint,
    content: <FoundRow token={token} watched={mints.includes(token.mint)} />,
  }))
  if (bare) options.push({ id: query, content: <BareRow mint={query} watched={mints.includes(query)} /> })
  const choose = (mint: string) => {
    const token = found.find((each) => each.mint === mint)
    if (token !== undefined) tokens.add(token)
    if (!watchlist.add(mint)) watchlist.open(mint)
    setText('')
  }
  return (
    <SearchBox
      label="Search tokens"
      placeholder="Add a token by symbol, name or mint"
      text={text}
      options={options}
      open={query !== ''}
      onText={setText}
      onChoose={choose}
      note={<SearchNote search={search} query={query} bare={bare} retry={() => setRound(round + 1)} />}
    />
  )
}

/** The result for the current query; late results of earlier queries are dropped. A new `round` searches again. */
function useSearch(query: string, round: number): Search {
  const [answer, setAnswer] = useState<{ readonly to: string; readonly search: Search }>()
  const request = `${round} ${query}`
  useEffect(() => {
    const text = request.slice(request.indexOf(' ') + 1)
    if (text === '' || text.length > LONGEST) return
    const control = new AbortController()
    const timer = setTimeout(() => {
      searchTokens(text, control.signal)
        .then(
          (tokens): Search => ({ state: 'found', tokens }),
          (error: unknown): Search => ({
            state: 'failed',
            why: error instanceof Error ? error.message : String(error),
          }),
        )
        .then((search) => {
          if (!control.signal.aborted) setAnswer({ to: request, search })
        })
    }, DEBOUNCE)
    return () => {
      clearTimeout(timer)
      control.abort()
    }
  }, [request])
  if (query === '') return { state: 'idle' }
  if (query.length > LONGEST) return { state: 'too long' }
  return answer?.to === request ? answer.search : { state: 'busy' }
}

interface SearchNoteProps {
  readonly search: Search
  readonly query: string
  readonly bare: boolean
  retry(): void
}

function SearchNote({ search, query, bare, retry }: SearchNoteProps) {
  if (search.state === 'busy') return <SearchSkeleton />
  if (search.state === 'too long')
    return <Note title="The search text is too long">Use at most {LONGEST} characters.</Note>
  if (search.state === 'failed') {
    return (
      <Note
        tone="lost"
        title="The search is not responding"
        actions={
          <button type="button" className="button" onMouseDown={(event) => event.preventDefault()} onClick={retry}>
            Search again
          </button>
        }
      >
        {search.why} Your list is not affected. You can also add a token by its full mint address.
      </Note>
    )
  }
  if (search.state === 'found' && search.tokens.length === 0 && !bare) {
    return <Note title={`No token matches “${query}”`}>Try its symbol, its name, or its full mint address.</Note>
  }
  return null
}

function SearchSkeleton() {
  return (
    <div className="found-wait">
      {[12, 9, 14].map((width) => (
        <div className="found" key={width}>
          <span className="monogram" />
          <Skeleton width={width} />
        </div>
      ))}
    </div>
  )
}

function FoundRow({ token, watched }: { readonly token: FoundToken; readonly watched: boolean }) {
  return (
    <div className="found">
      <Monogram label={token.symbol} seed={token.mint} />
      <div className="token">
        <span className="token-symbol">
          {token.symbol}
          {token.verified && (
            <span className="verified" title="Verified">
              <Icon name="check" />
              <span className="hidden">verified</span>
            </span>
          )}
        </span>
        <span className="token-name">
          {token.name} · {shortAddress(token.mint)}
        </span>
      </div>
      <div className="found-facts">
        <span>{token.usdPrice === null ? '–' : `$${formatPrice(token.usdPrice)}`}</span>
        <span className="found-liquidity">
          {watched ? 'on the list' : token.liquidity === null ? '' : `${formatUsd(token.liquidity)} liquid`}
        </span>
      </div>
    </div>
  )
}

function BareRow({ mint, watched }: { readonly mint: string; readonly watched: boolean }) {
  return (
    <div className="found">
      <Monogram label="?" seed={mint} />
      <div className="token">
        <span className="token-symbol">{shortAddress(mint)}</span>
        <span className="token-name">{watched ? 'On the list' : 'Unknown token. Select to watch this address.'}</span>
      </div>
    </div>
  )
}
