import { describe, expect, test } from 'vitest'
import { maskOf } from './redact.ts'
import { secretsOfCredentials, secretsOfUrl } from './secrets.ts'

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
