/** `JUPy…DvCN`: enough of an address to tell two apart. */
export function shortAddress(address: string): string {
  return `${address.slice(0, 4)}…${address.slice(-4)}`
}
