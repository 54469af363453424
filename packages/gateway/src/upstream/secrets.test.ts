import { describe, expect, test } from 'vitest'
import { maskOf } from './redact.ts'
import {
  secretsOfCredentials,
  secretsOfHeaders,
  secretsOfMessage,
  secretsOfSubscription,
  secretsOfUrl,
} from './secrets.ts'

const TOKEN = 'tok3n-9f8e7d6c5b4a'

describe('a login', () => {
  test.each(['x', 'X', 'api_token', 'x-oauth-basic', ''])(
    'hides a token as its user next to the password "%s"',
    (password) => {
      const basic = `Basic ${Buffer.from(`${TOKEN}:${password}`).toString('base64')}`
      expect(maskOf(secretsOfCredentials(basic)).text(`unknown token ${TOKEN}`)).not.toContain(TOKEN)
      const url = new URL(`https://${TOKEN}:${password}@a.example/`)
      expect(maskOf(secretsOfUrl(url)).text(`unknown token ${TOKEN}`)).not.toContain(TOKEN)
    },
  )

  test.each(['admin', 'default', 'root', 'api', 'service-user'])('leaves the plain user name %s readable', (user) => {
    for (const password of ['p4ssw0rd-long', ...(user.length < 8 ? ['x', ''] : [])]) {
      const basic = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
      const said = `the ${user} has no access`
      expect(maskOf(secretsOfCredentials(basic)).text(said)).toBe(said)
      expect(maskOf(secretsOfUrl(new URL(`https://${user}:${password}@a.example/`))).text(said)).toBe(said)
    }
  })

  test('hides a password also when the user is a plain name', () => {
    const basic = `Basic ${Buffer.from('admin:p4ssw0rd-long').toString('base64')}`
    expect(maskOf(secretsOfCredentials(basic)).text('got p4ssw0rd-long')).toBe('got *************')
  })
})

describe('each secret inside a credential is hidden by itself', () => {
  const SIGNATURE = 'fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024'
  test.each<[header: Record<string, string>, secrets: readonly string[], readable: readonly string[]]>([
    [{ authorization: `Token token="${TOKEN}"` }, [TOKEN], ['token', 'Token']],
    [{ authorization: `Token token="${TOKEN}", email="a@b.example"` }, [TOKEN], ['a@b.example']],
    [
      {
        authorization: `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/eu-west-1/s3/aws4_request, SignedHeaders=content-type;host, Signature=${SIGNATURE}`,
      },
      [SIGNATURE, 'AKIAIOSFODNN7EXAMPLE'],
      ['content-type', 'host', 'eu-west-1', 'aws4_request', '20260101'],
    ],
    [
      {
        authorization: `OAuth realm="Photos", oauth_consumer_key="dpf43f3p2l4k3l03", oauth_signature_method="HMAC-SHA1", oauth_signature="74KNZJeDHnMBp0EMJ9ZHt%2FXKycU%3D"`,
      },
      ['dpf43f3p2l4k3l03', '74KNZJeDHnMBp0EMJ9ZHt%2FXKycU%3D', '74KNZJeDHnMBp0EMJ9ZHt/XKycU='],
      ['Photos', 'HMAC-SHA1'],
    ],
    [
      { authorization: `Signature keyId="service",algorithm="hmac-sha256",signature="${TOKEN}"` },
      [TOKEN],
      ['hmac-sha256'],
    ],
    [{ 'x-auth': `service:${TOKEN}` }, [TOKEN], ['service']],
    [{ authorization: `SharedKey account:${TOKEN}` }, [TOKEN], ['account']],
    [{ authorization: `hmac service:n0nce-1234:${TOKEN}` }, [TOKEN, 'n0nce-1234'], ['service']],
    [{ 'x-api-key': `key=${TOKEN}` }, [TOKEN], []],
    [{ cookie: `theme=dark; session=${TOKEN}` }, [TOKEN], ['theme']],
    [{ 'x-auth-url': 'https://login.a.example/token' }, [], ['https', 'token']],
  ])('%j', (header, secrets, readable) => {
    const mask = maskOf(secretsOfHeaders(header))
    for (const secret of secrets) expect(mask.text(`got ${secret}.`)).not.toContain(secret)
    for (const text of readable) expect(mask.text(`got ${text}.`)).toBe(`got ${text}.`)
  })

  test('also in the first message of a socket', () => {
    const mask = maskOf(secretsOfMessage({ op: 'auth', args: [{ authorization: `Bearer ${TOKEN}` }] }))
    expect(mask.text(`unknown ${TOKEN}`)).not.toContain(TOKEN)
  })
})

describe('a subscription', () => {
  const MINT = 'So11111111111111111111111111111111111111112'
  test.each<[message: unknown]>([
    [{ op: 'sub', topic: MINT, key: TOKEN }],
    [{ op: 'sub', topic: MINT, token: TOKEN }],
    [{ op: 'sub', topic: MINT, sign: TOKEN }],
    [{ op: 'sub', topic: MINT, session: [TOKEN] }],
    [{ op: 'sub', topic: MINT, listenKey: TOKEN }],
    [{ op: 'sub', topic: MINT, as: `Bearer ${TOKEN}` }],
    [{ op: 'sub', topic: MINT, headers: { Authorization: `Token token="${TOKEN}"` } }],
  ])('hides what it says of us and not what it asks for: %j', (message) => {
    const mask = maskOf(secretsOfSubscription(message, { mint: MINT }))
    expect(mask.text(`${TOKEN} may not ask for ${MINT}`)).toBe(`${'*'.repeat(TOKEN.length)} may not ask for ${MINT}`)
  })

  test.each<[message: unknown]>([
    [{ op: 'sub', token: MINT }],
    [{ op: 'sub', key: MINT.toLowerCase() }],
    [{ op: 'sub', keys: [`price:${MINT}`] }],
    [{ op: 'sub', token: MINT, key: 'all-markets' }],
    ['ping'],
  ])('leaves what it asks for readable: %j', (message) => {
    expect(secretsOfSubscription(message, { mint: MINT })).toEqual([])
  })
})
