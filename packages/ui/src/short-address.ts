/** Shortens an address to its ends: `JUPy…DvCN`. */
export function shortAddress(address: string): string {
  return `${address.slice(0, 4)}…${address.slice(-4)}`
}
