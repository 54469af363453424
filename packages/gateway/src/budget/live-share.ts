/** Divides the calls that a budget has for what is watched among those who poll. */
export interface LiveShare {
  /**
   * @param who who wishes; a later wish takes the place of an earlier one
   * @param wish calls a second
   * @returns calls a second: as many as are wished for, or the part that is theirs when all together wish for too much
   */
  allot(who: object, wish: number): number
}

/** @param capacity calls a second that may be polled, as things stand */
export function createLiveShare(capacity: () => number): LiveShare {
  const wishes = new Map<object, number>()
  return {
    allot(who, wish) {
      wishes.set(who, wish)
      let all = 0
      for (const one of wishes.values()) all += one
      const most = capacity()
      return all <= most ? wish : (most * wish) / all
    },
  }
}
