import { shortAddress } from '@weir/ui'

interface WalletNameProps {
  readonly wallet: string
  /** The checked wallet. */
  readonly own: string
}

/** A short address, with the full one on hover, or `you` for the checked wallet. */
export function WalletName({ wallet, own }: WalletNameProps) {
  if (wallet === own)
    return (
      <strong className="wallet-own" title={wallet}>
        you
      </strong>
    )
  return (
    <code className="wallet" title={wallet}>
      {shortAddress(wallet)}
    </code>
  )
}
