import { formatPrice } from '@weir/ui'
import { usePage } from './page-context.ts'
import { usePriceEntry, useToken } from './page-hooks.ts'

/** The document's title: the first token's price, readable from another tab. */
export function PageTitle({ mint }: { readonly mint: string | undefined }) {
  return mint === undefined ? <title>Prices</title> : <PricedTitle mint={mint} />
}

function PricedTitle({ mint }: { readonly mint: string }) {
  const { tokens } = usePage()
  const { price } = usePriceEntry(mint)
  useToken(mint)
  const label = tokens.label(mint)
  return <title>{price === undefined ? `${label} · Prices` : `${label} ${formatPrice(price.usdPrice)} · Prices`}</title>
}
