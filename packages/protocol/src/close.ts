interface CloseRow {
  readonly code: number
  /** Whether a client should reconnect by itself. */
  readonly retry: boolean
  /** Minimum milliseconds before a reconnect. The client adds a random time that grows with each failure. */
  readonly after: number
  /** The reason for the close. */
  readonly meaning: string
}

/**
 * Close codes of a WebSocket: the reason, and whether and when to reconnect. A test compares PROTOCOL.md with this
 * table.
 */
export const CLOSE_CODES = {
  normal: { code: 1000, retry: false, after: 0, meaning: 'The client closed the connection.' },
  going_away: {
    code: 1001,
    retry: true,
    after: 1000,
    meaning: 'The server shuts down, or a reader of a log is too slow; `goodbye` has the delay.',
  },
  bad_frame: {
    code: 1002,
    retry: false,
    after: 0,
    meaning: 'A frame violates RFC 6455: unmasked, reserved bits or opcodes.',
  },
  binary: { code: 1003, retry: false, after: 0, meaning: 'A binary message; only text is supported.' },
  lost: {
    code: 1006,
    retry: true,
    after: 0,
    meaning: 'Never sent: the connection broke, or the handshake was refused.',
  },
  bad_utf8: {
    code: 1007,
    retry: false,
    after: 0,
    meaning: 'Text that is not UTF-8, or invalid compressed data.',
  },
  policy: { code: 1008, retry: false, after: 0, meaning: 'A message with too many fragments.' },
  too_large: { code: 1009, retry: false, after: 0, meaning: 'A message larger than `socketMessage`.' },
  unreadable: { code: 4400, retry: false, after: 0, meaning: 'Ten unreadable messages in a row.' },
  credential_expired: {
    code: 4401,
    retry: true,
    after: 0,
    meaning: 'The credential of the caller has expired: renew it, then reconnect.',
  },
  silent: { code: 4408, retry: true, after: 0, meaning: 'No answer to two pings in a row.' },
  too_slow: {
    code: 4413,
    retry: true,
    after: 1000,
    meaning: 'The client sends requests, but does not read the answers.',
  },
  flooding: {
    code: 4429,
    retry: true,
    after: 10_000,
    meaning: 'More messages per second than `socketRate` and `socketBurst` allow.',
  },
} as const satisfies Record<string, CloseRow>

/** The name of a close code from the table. */
export type CloseName = keyof typeof CLOSE_CODES

/**
 * Whether to reconnect after a close with this code, and the minimum milliseconds before that. An unknown code counts
 * as a lost connection.
 */
export function comeBack(code: number): { readonly retry: boolean; readonly after: number } {
  const row = Object.values(CLOSE_CODES).find((row) => row.code === code) ?? CLOSE_CODES.lost
  return { retry: row.retry, after: row.after }
}
