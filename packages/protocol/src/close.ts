interface CloseRow {
  readonly code: number
  /** Whether a client should come back by itself. */
  readonly retry: boolean
  /** Milliseconds to wait at least before that, where it comes back; it adds a random time that grows with each failure. */
  readonly after: number
  /** Why the connection was closed. */
  readonly meaning: string
}

/** Why a WebSocket is closed, and whether and when to come back. A test holds PROTOCOL.md to this table. */
export const CLOSE_CODES = {
  normal: { code: 1000, retry: false, after: 0, meaning: 'The client wanted it.' },
  going_away: {
    code: 1001,
    retry: true,
    after: 1000,
    meaning: 'The server goes, or a reader of a log is too slow; `goodbye` said when to come back.',
  },
  bad_frame: {
    code: 1002,
    retry: false,
    after: 0,
    meaning: 'A frame broke RFC 6455: unmasked, reserved bits or opcodes.',
  },
  binary: { code: 1003, retry: false, after: 0, meaning: 'A binary message; only text is spoken here.' },
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
    meaning: 'A text that is not UTF-8, or compressed data that is none.',
  },
  policy: { code: 1008, retry: false, after: 0, meaning: 'A message in far too many pieces.' },
  too_large: { code: 1009, retry: false, after: 0, meaning: 'A message larger than `socketMessage`.' },
  unreadable: { code: 4400, retry: false, after: 0, meaning: 'Ten messages in a row that could not be read.' },
  credential_expired: {
    code: 4401,
    retry: true,
    after: 0,
    meaning: 'The credential of the caller has expired: renew it, then come back.',
  },
  silent: { code: 4408, retry: true, after: 0, meaning: 'No answer to two pings in a row.' },
  too_slow: { code: 4413, retry: true, after: 1000, meaning: 'It asks for more, and does not read what it got.' },
  flooding: {
    code: 4429,
    retry: true,
    after: 10_000,
    meaning: 'More messages a second than `socketRate` and `socketBurst` allow.',
  },
} as const satisfies Record<string, CloseRow>

/** The name of a close code from the table. */
export type CloseName = keyof typeof CLOSE_CODES

/**
 * Whether to come back after a connection was closed with this code, and after how many milliseconds at least; a code that is
 * not in the table means that it broke.
 */
export function comeBack(code: number): { readonly retry: boolean; readonly after: number } {
  const row = Object.values(CLOSE_CODES).find((row) => row.code === code) ?? CLOSE_CODES.lost
  return { retry: row.retry, after: row.after }
}
