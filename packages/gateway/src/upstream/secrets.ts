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
    SECRET_NAME.test(name) || looksRandom(value) ? secretsOfCredentials(value) : [],
  )
}

/** Whether these headers say who we are. */
export function areCredentials(headers: Readonly<Record<string, string>>): boolean {
  return Object.keys(headers).some((name) => SECRET_NAME.test(name))
}

/** A parameter of a credential (RFC 9110, 11.2) or a cookie. */
const PARAMETER = /(?:^|[\s,;])([\w.-]+) *= *(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]+))/g
const COOKIE = /(?:^|; *)[\w.-]+=([^;]{8,})/g

/** Parameters that say how a credential was made, under names that speak of keys. */
const PUBLIC_PARAMETER = /headers$|method$|version$|algorithm$|type$/i

/**
 * What of a value such as `Bearer KEY`, `Basic dXNlcjpwYXNz`, `Token token="KEY"`, `USER:KEY`, `session=KEY; theme=dark` or
 * `AWS4-HMAC-SHA256 Credential=ID/20260101/…, Signature=KEY` nobody may read: the whole, and each part of it that is a secret by itself.
 */
export function secretsOfCredentials(value: string): readonly string[] {
  const [, scheme, token = value] = /^([A-Za-z][\w-]*) +(\S+)$/.exec(value) ?? []
  const cookies = [...value.matchAll(COOKIE)].map(([, cookie = '']) => cookie)
  if (scheme?.toLowerCase() === 'basic') {
    const login = Buffer.from(token, 'base64').toString()
    return [value, token, login, ...cookies, ...secretsOfPair(login)]
  }
  const parameters = [...value.matchAll(PARAMETER)].flatMap(([, name = '', quoted, plain = '']) =>
    secretsOfParameter(name, quoted?.replace(/\\(.)/g, '$1') ?? plain),
  )
  const words = value.split(/[\s,;]+/).filter(looksRandom)
  return [value, token, ...cookies, ...parameters, ...words, ...secretsOfParts(token)]
}

function secretsOfParameter(name: string, value: string): readonly string[] {
  if (PUBLIC_PARAMETER.test(name) || value.length < SHORTEST_TOKEN) return []
  const isSecret = (SECRET_NAME.test(name) && !isName(value)) || looksRandom(value)
  // The scope of a key is no secret, the key before it is.
  return isSecret ? [value, decoded(value), ...value.split('/').filter(looksRandom)] : []
}

/** Of `USER:KEY` the key, of `ID:NONCE:MAC` what is no name. An address has colons too. */
function secretsOfParts(token: string): readonly string[] {
  if (!/^[^\s"=,;:/]*(:[^\s:"]+)+$/.test(token)) return []
  const parts = token.split(':')
  return parts.length === 2
    ? secretsOfPair(token)
    : parts.filter((part) => part.length >= SHORTEST_TOKEN && !isName(part))
}

/** Of `USER:PASSWORD`. */
function secretsOfPair(login: string): readonly string[] {
  const [, user = '', password = ''] = /^([^:]*):?(.*)$/s.exec(login) ?? []
  return secretsOfLogin(user, password)
}

function looksRandom(text: string): boolean {
  return RANDOM.test(text) && !DATE.test(text)
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
export function secretsOfMessage(message: unknown): readonly string[] {
  return textsOf(message).flatMap(({ name, text }) =>
    SECRET_NAME.test(name) || RANDOM.test(text) || CREDENTIALS.test(text) ? secretsOfCredentials(text) : [],
  )
}

/** Names under which a text is ours in any case: `key` or `token` alone may also name a topic. */
const OURS =
  /secret|auth|pass|pwd|api.?key|credential|signature|bearer|jwt|(access|session|private|refresh|listen).?(token|key)/i

/** A text that is a credential under any name: with its scheme, or a JSON Web Token (RFC 7519). */
const CREDENTIALS = /^(Bearer|Basic|Token|ApiKey|Digest) +\S{8,}|^eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*$/i

/**
 * What a message that subscribes says of us, such as `{ op: 'sub', topic: 'a', apiKey: 'KEY' }`. What says which key is subscribed to is no secret:
 * it comes back in each message.
 */
export function secretsOfSubscription(message: unknown, key: unknown): readonly string[] {
  const asked = textsOf(key).map(({ text }) => text.toLowerCase())
  const isAsked = (text: string) => {
    const folded = text.toLowerCase()
    return asked.some((part) => folded.includes(part) || part.includes(folded))
  }
  return textsOf(message).flatMap(({ name, text }) => {
    if (text.length < SHORTEST_TOKEN) return []
    const ours = OURS.test(name) || CREDENTIALS.test(text)
    const perhaps = SECRET_NAME.test(name) && !isName(text) && !isAsked(text)
    return ours || perhaps ? secretsOfCredentials(text).filter((secret) => secret.length >= SHORTEST_TOKEN) : []
  })
}

/** All texts in a message or a key, each with the name that it stands under. */
function textsOf(value: unknown, name = ''): readonly { readonly name: string; readonly text: string }[] {
  if (typeof value === 'string') return value === '' ? [] : [{ name, text: value }]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([inner, part]) => textsOf(part, Array.isArray(value) ? name : inner))
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
