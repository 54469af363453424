/** Parses server-sent events (WHATWG HTML, 9.2.6) from text in pieces of any size. */
export interface SseParser {
  read(piece: string): void
}

export interface SseEvents {
  event(type: string, data: string): void
  /** How long to wait before the next connection, in milliseconds. */
  retry(milliseconds: number): void
}

/**
 * Only CR, LF and CRLF end a line. Each character is read once, however large an event is and however it is split: the
 * pieces of a line are joined when it ends.
 */
export function createSseParser({ event, retry }: SseEvents): SseParser {
  let pieces: string[] = []
  let data: string[] = []
  let type = ''
  let afterReturn = false

  function processLine(line: string): void {
    if (line === '') {
      if (data.length > 0) event(type || 'message', data.join('\n'))
      data = []
      type = ''
      return
    }
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'data') data.push(value)
    else if (field === 'event') type = value
    else if (field === 'retry' && /^\d+$/.test(value)) retry(Number(value))
  }

  return {
    read(piece) {
      if (piece === '') return
      const end = /\r\n?|\n/g
      // This line feed belongs to the carriage return at the end of the previous piece.
      let from = afterReturn && piece[0] === '\n' ? 1 : 0
      end.lastIndex = from
      for (let found = end.exec(piece); found; found = end.exec(piece)) {
        pieces.push(piece.slice(from, found.index))
        from = end.lastIndex
        const line = pieces.length === 1 ? (pieces[0] as string) : pieces.join('')
        pieces = []
        processLine(line)
      }
      afterReturn = piece.endsWith('\r')
      if (from < piece.length) pieces.push(piece.slice(from))
    },
  }
}
