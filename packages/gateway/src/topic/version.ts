import { parseVersion, type Version } from '@weir/protocol'
import { show, WeirError } from '../errors.ts'

/** A version, or a position of a log, as a client names it; undefined for none. @throws WeirError `bad_version` */
export function readVersion(name: string, text: string | undefined): Version | undefined {
  if (text === undefined || text === '') return undefined
  const version = parseVersion(text)
  if (version === undefined) throw new WeirError('bad_version', `${name}: expected epoch:sequence, got ${show(text)}`)
  return version
}
