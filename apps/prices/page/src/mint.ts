const BASE58 = /^[1-9A-HJ-NP-Za-km-z]{32,44}$/

/** Whether a text has the form of a mint address. */
export function isMint(text: string): boolean {
  return BASE58.test(text)
}
