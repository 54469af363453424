import { formatPrice } from '@weir/ui'
import { usePage } from './page-context.ts'
import { usePriceEntry, useToken } from './page-hooks.ts'

/** Sets the document title to the price of the first token, so that it is visible from another tab. */
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
