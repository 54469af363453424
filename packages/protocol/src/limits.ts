/** A client that goes beyond one of these is refused or closed. */
export interface SocketLimits {
  /** Bytes of a message. */
  readonly message: number
  /** Messages a second, pings and pongs among them. */
  readonly rate: number
  /** Messages at once. */
  readonly burst: number
  readonly topics: number
}
