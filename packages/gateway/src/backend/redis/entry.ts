import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ConfigError } from '../../errors.ts'
import type { Entry } from './server.ts'
import { redisAddress } from './url.ts'

/**
 * How to connect to Redis, from the options: its address, and the file with the certificates of its authorities.
 *
 * @throws ConfigError that does not show the password
 */
export function redisEntry(url: string, caFile: string | undefined): Entry {
  if (redisAddress(url) === undefined) {
    const shown = url.replace(/\/\/.*@/s, '//…@')
    throw new ConfigError('gateway', 'redis', 'an address such as redis://127.0.0.1:6379', shown)
  }
  return { url, ca: caFile === undefined ? undefined : certificatesIn(caFile) }
}

function certificatesIn(file: string): string {
  const text = readOr(file)
  const certificates = text?.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  if (text === undefined) throw new ConfigError('gateway', 'redisCa', 'a file that can be read', file)
  if (certificates.length === 0 || !certificates.every(isCertificate))
    throw new ConfigError('gateway', 'redisCa', 'a file with certificates in PEM', file)
  return text
}

function readOr(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function isCertificate(text: string): boolean {
  try {
    return new X509Certificate(text).ca !== undefined
  } catch {
    return false
  }
}
