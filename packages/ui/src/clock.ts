/** The time a page counts ages by, and a beat to repaint them on. */
export interface Clock {
  /** Milliseconds since 1970, by the server's clock where one is known. */
  now(): number
  /** Calls `beat` about once a second until the returned function is called. */
  subscribe(beat: () => void): () => void
}
