/** Divides the calls that a budget has for watched values among the feeds that poll. */
export interface LiveShare {
  /**
   * @param feed what asks; a later wish replaces an earlier one
   * @param wish calls a second
   * @returns calls a second: the wish, or its proportional part if all wishes together exceed the capacity
   */
  allot(feed: object, wish: number): number
}

/** @param capacity calls a second that polls may use at present */
export function createLiveShare(capacity: () => number): LiveShare {
  const wishes = new Map<object, number>()
  return {
    allot(feed, wish) {
      wishes.set(feed, wish)
      let all = 0
      for (const one of wishes.values()) all += one
      const most = capacity()
      return all <= most ? wish : (most * wish) / all
    },
  }
}
