/** The clock of a page, with a tick to repaint ages. */
export interface Clock {
  /** Milliseconds since 1970, by the server's clock if it is known. */
  now(): number
  /** Calls `tick` about once a second until the returned function is called. */
  subscribe(tick: () => void): () => void
}
