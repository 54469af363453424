import type { IsolatedMeter } from './isolated-meter.ts'

/**
 * How a node stands with the others that share a meter.
 *
 * | state     | what starts                                  | ends with                                             | then      |
 * | --------- | -------------------------------------------- | ----------------------------------------------------- | --------- |
 * | joining   | nothing: no reply was ever received          | a reply                                               | joined    |
 * | joined    | what Redis grants                            | a request for grants that fails                       | cut off   |
 * | cut off   | nothing, until all older grants have expired | a reply                                               | joined    |
 * |           |                                              | a request that fails after that, if isolation is on   | isolated  |
 * | isolated  | what the node's own share allows, for        | a PING that Redis answers                             | rejoining |
 * |           | `isolationLimit` after the last reply        |                                                       |           |
 * | rejoining | nothing: the node reports what it spent      | a reply                                               | joined    |
 * |           |                                              | a request that fails                                  | isolated  |
 * | left      | what Redis grants; nothing is kept for it    | nothing; every other state ends here with `leave()`   |           |
 */
export type MeterState =
  /** `failingSince`: since when requests fail, on the monotonic clock. */
  | { readonly is: 'joining'; readonly failingSince?: number }
  | { readonly is: 'joined' }
  | { readonly is: 'cut off'; readonly failingSince: number }
  | { readonly is: 'isolated' | 'rejoining'; readonly meter: IsolatedMeter }
  | { readonly is: 'left' }
