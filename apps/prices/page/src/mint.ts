const BASE58 = /^[1-9A-HJ-NP-Za-km-z]{32,44}$/

/** Whether a text is shaped like a token's address. */
export function isMint(text: string): boolean {
  return BASE58.test(text)
}

/** `JUPy…DvCN`: enough to tell two apart. */
export function shortMint(mint: string): string {
  return `${mint.slice(0, 4)}…${mint.slice(-4)}`
}
