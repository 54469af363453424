/** From now on the client hears this topic. Said again, it begins anew: with the latest value, whole. */
export interface Subscribe {
  readonly type: 'subscribe'
  /** The address of a value. */
  readonly topic: string
  /** The version that the client has: when it still holds, a `heartbeat` says so in place of the value. */
  readonly since?: string
  /** False: changes come as snapshots, never as patches. */
  readonly patches?: boolean
  /** Answered with `subscribed`, which says the topic's one address. */
  readonly id?: RequestId
}

/** The client no longer hears this topic; what is on its way still comes. */
export interface Unsubscribe {
  readonly type: 'unsubscribe'
  readonly topic: string
}

/** One value, once: answered by a `snapshot`, an `absent` or an `error` with the same `id`. */
export interface Get {
  readonly type: 'get'
  readonly id: RequestId
  readonly topic: string
}

/** Puts an event into a log, where the log allows it: answered by `published` or an `error` with the same `id`. */
export interface Publish {
  readonly type: 'publish'
  readonly id: RequestId
  readonly topic: string
  readonly event: unknown
}

/** Answered with `pong`: for those who can't send WebSocket's own pings, as browsers. */
export interface Ping {
  readonly type: 'ping'
  readonly id?: RequestId
}

/** Chosen by the client, and carried by the answer: a text of at most 64 characters, or a whole number. */
export type RequestId = string | number

/** What a client says on a WebSocket, each as one text message of JSON. */
export type ClientMessage = Subscribe | Unsubscribe | Get | Publish | Ping
