import { shortAddress } from '@weir/ui'

interface WalletNameProps {
  readonly wallet: string
  /** The wallet that is being checked here. */
  readonly own: string
}

/** A wallet in short, in full on hover; `you` where it is one's own. */
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
