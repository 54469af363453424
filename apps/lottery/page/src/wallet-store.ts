const KEY = 'weir.lottery.wallet'

/** The address that was asked for last, kept on this device and nowhere else. */
export function rememberedWallet(): string {
  try {
    return localStorage.getItem(KEY) ?? ''
  } catch {
    // Storage is blocked: each visit begins without one.
    return ''
  }
}

/** Remembers an address; an empty one is forgotten. */
export function rememberWallet(wallet: string): void {
  try {
    if (wallet === '') localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, wallet)
  } catch {
    // This visit has it all the same.
  }
}
