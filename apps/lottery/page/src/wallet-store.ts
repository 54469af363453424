const KEY = 'weir.lottery.wallet'

/** The last checked address, stored only on this device. */
export function rememberedWallet(): string {
  try {
    return localStorage.getItem(KEY) ?? ''
  } catch {
    // Storage is blocked, so each visit starts without an address.
    return ''
  }
}

/** Stores an address. An empty one clears it. */
export function rememberWallet(wallet: string): void {
  try {
    if (wallet === '') localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, wallet)
  } catch {
    // Storage is blocked, so only this visit has the address.
  }
}
