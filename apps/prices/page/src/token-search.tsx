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

// Long enough that a word typed at ordinary speed is one question, short enough not to be felt.
const PAUSE = 180

// What the server takes: a longer text is no symbol, no name and no mint.
const LONGEST = 100

type Search =
  | { readonly state: 'idle' | 'busy' | 'too long' }
  | { readonly state: 'found'; readonly tokens: readonly FoundToken[] }
  | { readonly state: 'failed'; readonly why: string }

/** Finds tokens and puts them on the list. */
export function TokenSearch() {
  const { watchlist, tokens } = usePage()
  const { mints } = useWatchlist()
  const [text, setText] = useState('')
  const [round, setRound] = useState(0)
  const query = text.trim()
  const search = useSearch(query, round)
  const found = search.state === 'found' ? search.tokens : []
  // An address needs no search: it can be watched even when nothing is known of it, or the search is down.
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
      note={<SearchNote search={search} query={query} bare={bare} again={() => setRound(round + 1)} />}
    />
  )
}

/** The newest answer to the newest question; an older one that comes late is dropped. `round` asks again. */
function useSearch(query: string, round: number): Search {
  const [answer, setAnswer] = useState<{ readonly to: string; readonly search: Search }>()
  const question = `${round} ${query}`
  useEffect(() => {
    const text = question.slice(question.indexOf(' ') + 1)
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
          if (!control.signal.aborted) setAnswer({ to: question, search })
        })
    }, PAUSE)
    return () => {
      clearTimeout(timer)
      control.abort()
    }
  }, [question])
  if (query === '') return { state: 'idle' }
  if (query.length > LONGEST) return { state: 'too long' }
  return answer?.to === question ? answer.search : { state: 'busy' }
}

interface SearchNoteProps {
  readonly search: Search
  readonly query: string
  readonly bare: boolean
  again(): void
}

function SearchNote({ search, query, bare, again }: SearchNoteProps) {
  if (search.state === 'busy') return <SearchSkeleton />
  if (search.state === 'too long')
    return (
      <Note title={`No token has a name of ${query.length} characters`}>Search with at most {LONGEST} of them.</Note>
    )
  if (search.state === 'failed') {
    return (
      <Note
        tone="lost"
        title="The search did not answer"
        actions={
          <button type="button" className="button" onMouseDown={(event) => event.preventDefault()} onClick={again}>
            Search again
          </button>
        }
      >
        {search.why} Your list is not affected; a token can also be added by its full mint.
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
        <span className="token-name">
          {watched ? 'On the list' : 'Watch this address; nothing else is known of it'}
        </span>
      </div>
    </div>
  )
}
