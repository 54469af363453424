/** `JSON.rawJSON` of Node 21 and later (ECMAScript's source text access proposal), which TypeScript's lib lacks. */
declare global {
  interface JSON {
    rawJSON(text: string): unknown
  }
}

/** JSON with bigints as whole numbers: `rentEpoch` and token amounts go beyond 2^53. */
export function stringify(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? JSON.rawJSON(String(part)) : part))
}
