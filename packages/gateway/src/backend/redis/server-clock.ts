/** Watches whether Redis's clock jumps, by comparing it with this node's monotonic clock. */
export class ServerClock {
  readonly #slack: number
  /** Redis's clock minus ours: the least and the most that the last reply allows. */
  #offset: { readonly least: number; readonly most: number } | undefined

  constructor(slack: number) {
    this.#slack = slack
  }

  /**
   * Whether the clock jumped since the last reply.
   *
   * @param time Redis's time, read between `sentAt` and `now` on this node's clock
   */
  jumped(time: number, sentAt: number, now: number): boolean {
    const before = this.#offset
    const offset = { least: time - now, most: time - sentAt }
    this.#offset = offset
    return (
      before !== undefined && (offset.least > before.most + this.#slack || offset.most < before.least - this.#slack)
    )
  }
}
