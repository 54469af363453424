/** An error as clients get it: `application/problem+json` (RFC 9457), and the `problem` of an error message. */
export interface Problem {
  /** `https://weir.dev/errors#CODE`: a name, not a page that has to answer. */
  readonly type: string
  /** The error in general, the same for every occurrence. */
  readonly title: string
  /** The HTTP status it has, or would have. */
  readonly status: number
  /** The code from the table of errors, such as `bad_key`. */
  readonly code: string
  /** This occurrence: what was expected and what came. */
  readonly detail: string
  /** Whether the same request may succeed later. */
  readonly retry: boolean
  /** Seconds to wait before that, where it is known. */
  readonly retryAfter?: number
  /** By this the server's log has the cause, where clients are not to read it. */
  readonly requestId?: string
}
