/** An error as clients receive it: `application/problem+json` (RFC 9457), and the `problem` of an error message. */
export interface Problem {
  /** `https://weir.dev/errors#CODE`: an identifier that need not resolve to a page. */
  readonly type: string
  /** The general description, the same for every occurrence. */
  readonly title: string
  /** The HTTP status. */
  readonly status: number
  /** The code from the table of errors, such as `bad_key`. */
  readonly code: string
  /** The details of this occurrence: the expected and the actual input. */
  readonly detail: string
  /** Whether the same request may succeed later. */
  readonly retry: boolean
  /** Seconds until a retry, if known. */
  readonly retryAfter?: number
  /** The id under which the server's log has the cause, if clients must not read it. */
  readonly requestId?: string
}
