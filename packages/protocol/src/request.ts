/** Subscribes to a topic. A second subscription starts over with the latest value, whole. */
export interface Subscribe {
  readonly type: 'subscribe'
  /** The address of a value. */
  readonly topic: string
  /** The client's version. If it is still current, a `heartbeat` replaces the value. */
  readonly since?: string
  /** If false, changes are sent as snapshots, never as patches. */
  readonly patches?: boolean
  /** With an id, the answer `subscribed` has the canonical address of the topic. */
  readonly id?: RequestId
}

/** Ends a subscription. Messages in transit still arrive. */
export interface Unsubscribe {
  readonly type: 'unsubscribe'
  readonly topic: string
}

/** Reads a value once. The answer is a `snapshot`, an `absent` or an `error` with the same `id`. */
export interface Get {
  readonly type: 'get'
  readonly id: RequestId
  readonly topic: string
}

/** Appends an event to a log that allows it. The answer is `published` or an `error` with the same `id`. */
export interface Publish {
  readonly type: 'publish'
  readonly id: RequestId
  readonly topic: string
  readonly event: unknown
}

/** Answered with `pong`, for clients that cannot send WebSocket pings, such as browsers. */
export interface Ping {
  readonly type: 'ping'
  readonly id?: RequestId
}

/** Chosen by the client and repeated in the answer: a text of at most 64 characters, or a whole number. */
export type RequestId = string | number

/** Messages of a client on a WebSocket, each one text message of JSON. */
export type ClientMessage = Subscribe | Unsubscribe | Get | Publish | Ping
