/** Limits of a client on a WebSocket. Exceeding one refuses the message or closes the connection. */
export interface SocketLimits {
  /** Maximum bytes of a message. */
  readonly message: number
  /** Messages per second, including pings and pongs. */
  readonly rate: number
  /** Messages at once. */
  readonly burst: number
  readonly topics: number
}
