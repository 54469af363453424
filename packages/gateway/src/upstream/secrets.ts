/** Shorter values in an address are words, such as the name of a network; a name that speaks of a key needs no length. */
const SHORTEST_WORD = 16
/** Shorter users next to a password are names. */
const SHORTEST_TOKEN = 8
const SECRET_NAME = /key|token|secret|auth|pass|sign|cookie|credential|session/i

/** What looks like no word and no date, and so may be a key. */
const RANDOM = /^(?=.*\d)(?=.*[a-z])[\w+/=~-]{16,}$/i
const DATE = /^\d{4}-\d\d(-|$)/

/** A secret that is shorter has no fragment in base64 that is long enough to be told from chance. */
const SHORTEST_FRAGMENT = 12

/** What of an address nobody may read: keys in its query, what in its path is too long for a word, user and password. */
export function secretsOfUrl({ searchParams, pathname, username, password }: URL): readonly string[] {
  const inQuery = [...searchParams]
    .filter(([name, value]) => value.length >= SHORTEST_WORD || (SECRET_NAME.test(name) && value !== ''))
    .map(([, value]) => value)
  const inPath = pathname.split('/').filter(({ length }) => length >= SHORTEST_WORD)
  const [user, pass] = [decoded(username), decoded(password)]
  return [...inQuery, ...inPath.map(decoded), ...secretsOfLogin(user, pass)]
}

/** What of the headers that are sent nobody may read. */
export function secretsOfHeaders(headers: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    SECRET_NAME.test(name) || (RANDOM.test(value) && !DATE.test(value)) ? secretsOfCredentials(value) : [],
  )
}

/** Whether these headers say who we are. */
export function areCredentials(headers: Readonly<Record<string, string>>): boolean {
  return Object.keys(headers).some((name) => SECRET_NAME.test(name))
}

/** What of a value such as `Bearer KEY`, `Basic dXNlcjpwYXNz` or `session=KEY; theme=dark` nobody may read. */
export function secretsOfCredentials(value: string): readonly string[] {
  const [, scheme, token = value] = /^([A-Za-z][\w-]*) +(\S+)$/.exec(value) ?? []
  const cookies = [...value.matchAll(/(?:^|; *)[\w.-]+=([^;]{8,})/g)].map(([, cookie = '']) => cookie)
  if (scheme?.toLowerCase() !== 'basic') return [value, token, ...cookies]
  const login = Buffer.from(token, 'base64').toString()
  const [, user = '', password = ''] = /^([^:]*):?(.*)$/s.exec(login) ?? []
  return [value, token, login, ...secretsOfLogin(user, password)]
}

/** Some APIs take a token as the user, with any password: both are secrets, unless the user is a plain name such as `admin`. */
function secretsOfLogin(user: string, password: string): readonly string[] {
  if (password === '') return isName(user, SHORTEST_TOKEN) ? [] : [user]
  const login = [password, base64(`${user}:${password}`)]
  // Next to a password as short as `x`, the user is the token.
  const isToken =
    password.length < SHORTEST_TOKEN ? !isName(user, SHORTEST_TOKEN) : user.length >= SHORTEST_TOKEN && !isName(user)
  return isToken ? [user, ...login] : login
}

/** Whether a text is shorter than a token and consists of words alone. */
function isName(text: string, shortest = SHORTEST_WORD): boolean {
  return text === '' || (text.length < shortest && /^[a-z]+([._-][a-z]+)*$/i.test(text))
}

/** What is said by a first message, such as `{ op: 'auth', key: 'KEY' }`, under a name that speaks of a key. */
export function secretsOfMessage(message: unknown, name = ''): readonly string[] {
  if (typeof message === 'string') return SECRET_NAME.test(name) || RANDOM.test(message) ? [message] : []
  if (typeof message !== 'object' || message === null) return []
  return Object.entries(message).flatMap(([inner, value]) =>
    secretsOfMessage(value, Array.isArray(message) ? name : inner),
  )
}

/** Names under which a subscription carries what is ours, and not what it asks for: `key` or `token` alone may be a topic. */
const OURS = /secret|auth|pass|api.?key|credential|signature|access.?token/i

/** What a message that subscribes says of us, such as `{ op: 'sub', topic: 'a', apiKey: 'KEY' }`. */
export function secretsOfSubscription(message: unknown, name = ''): readonly string[] {
  if (typeof message === 'string') return OURS.test(name) && message.length >= SHORTEST_TOKEN ? [message] : []
  if (typeof message !== 'object' || message === null) return []
  return Object.entries(message).flatMap(([inner, value]) =>
    secretsOfSubscription(value, Array.isArray(message) ? name : inner),
  )
}

/**
 * Secrets and what they look like in hexadecimal and in base64: alone, as the user of a login, and inside of something longer. Beyond ASCII also
 * with their accents apart, and with the bytes of UTF-8 read as Latin-1, as headers are.
 */
export function withEncodings(secrets: readonly string[]): readonly string[] {
  const all = secrets.filter((secret) => secret !== '').flatMap(charsets)
  return [...new Set(all.flatMap((secret) => [secret, ...encodings(secret)]))]
}

function charsets(secret: string): readonly string[] {
  const forms = [secret, secret.normalize('NFC'), secret.normalize('NFD')]
  return [...new Set([...forms, ...forms.map((form) => Buffer.from(form).toString('latin1'))])]
}

function encodings(secret: string): readonly string[] {
  if (secret.length < 6) return []
  const hexadecimal = Buffer.from(secret).toString('hex')
  if (secret.length < SHORTEST_FRAGMENT) return [hexadecimal, ...both(base64(secret))]
  return [hexadecimal, ...both(base64(secret), ...[0, 1, 2].map((offset) => fragment(secret, offset)))]
}

/** The part of a longer text in base64 that is the same wherever a secret stands at this offset. */
function fragment(secret: string, offset: 0 | 1 | 2 | number): string {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)])
  const whole = bytes.length - (bytes.length % 3)
  // Its first characters hold what is before the secret, and its last what comes after.
  return bytes.subarray(0, whole).toString('base64').slice([0, 2, 3][offset])
}

function both(...texts: readonly string[]): readonly string[] {
  return texts
    .map((text) => text.replace(/=+$/, ''))
    .flatMap((text) => [text, text.replaceAll('+', '-').replaceAll('/', '_')])
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
