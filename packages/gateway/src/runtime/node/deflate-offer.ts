const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
const EXTENSION = `\\s*${TOKEN}\\s*(?:;\\s*${TOKEN}\\s*(?:=\\s*(?:${TOKEN}|"${TOKEN}")\\s*)?)*`

/** A list of extensions (RFC 6455, 9.1). */
const EXTENSIONS = new RegExp(`^(?:${EXTENSION}|\\s*)(?:,(?:${EXTENSION}|\\s*))*$`)

/** Compression window of the server's frames, in bits. It is the largest one allowed. */
const WINDOW = 15

/** Whether the field is a list of extensions. If not, the handshake fails (RFC 6455, 9.1). */
export function areExtensions(field: string): boolean {
  return EXTENSIONS.test(field)
}

/**
 * Returns the first acceptable offer of permessage-deflate, in the form that ws reads, or undefined. An offer with an unknown,
 * duplicate or out-of-range parameter is declined, and is not an error (RFC 7692, 5.1 and 7.1).
 */
export function acceptableOffer(extensions: string): string | undefined {
  for (const offer of extensions.split(',')) {
    const [name = '', ...parameters] = offer.split(';')
    if (name.trim().toLowerCase() !== 'permessage-deflate') continue
    const read = new Map(parameters.map(parameterOf))
    if (read.size === parameters.length && [...read].every(acceptable))
      return [
        'permessage-deflate',
        ...[...read].map(([name, value]) => (value === '' ? name : `${name}=${value}`)),
      ].join('; ')
  }
  return undefined
}

function parameterOf(text: string): readonly [name: string, value: string] {
  const [name = '', value = ''] = text.split('=')
  return [name.trim().toLowerCase(), value.replaceAll('"', '').trim()]
}

function acceptable([name, value]: readonly [string, string]): boolean {
  switch (name) {
    case 'server_no_context_takeover':
    case 'client_no_context_takeover':
      return value === ''
    case 'client_max_window_bits':
      return value === '' || /^([89]|1[0-5])$/.test(value)
    // All connections share one frame, so a client that asks for a smaller window gets uncompressed frames.
    case 'server_max_window_bits':
      return value === String(WINDOW)
    default:
      return false
  }
}
