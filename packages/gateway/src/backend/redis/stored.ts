import type { Soon } from '../../call.ts'
import type { Stored } from '../../entry.ts'
import { packed, unpacked } from './packed.ts'
import type { Reply } from './server.ts'

/** The fields of a value's hash, in the order in which scripts give them. */
export const FIELDS = ['epoch', 'sequence', 'hash', 'changedAt', 'checkedAt', 'body', 'reason', 'absentFor'] as const

/** The hash as it is written: of an origin's value with its lineages, so that nodes of an earlier version read it too. */
export function hashText(hash: string, { lineage, over = '' }: Pick<Stored, 'lineage' | 'over'>): string {
  return lineage === undefined ? hash : `${hash}.${lineage}.${over}`
}

/** A value out of its fields; undefined when it is not there, or can't be read. */
export function storedOf(reply: Reply): Soon<Stored | undefined> {
  if (!Array.isArray(reply)) return undefined
  const [epoch, sequence, hash, changedAt, checkedAt, body, reason, absentFor] = reply
  if (!Buffer.isBuffer(epoch)) return undefined
  const text = (field: Reply | undefined) => (Buffer.isBuffer(field) ? field.toString() : '')
  const [name = '', lineage, over] = text(hash).split('.')
  const stored = (json: Buffer | undefined): Stored => ({
    version: { epoch: Number(text(epoch)), sequence: Number(text(sequence)) },
    hash: name,
    ...(lineage && { lineage }),
    ...(over && { over }),
    changedAt: Number(text(changedAt)),
    checkedAt: Number(text(checkedAt)),
    json,
    reason: text(reason) === '' ? undefined : String(JSON.parse(text(reason))),
    absentFor: text(absentFor) === '' ? undefined : Number(text(absentFor)),
  })
  // No JSON text is empty, so an empty body is an absent value.
  if (!Buffer.isBuffer(body) || body.byteLength === 0) return stored(undefined)
  const known = (json: Buffer | undefined) => (json === undefined ? undefined : stored(json))
  const json = unpacked(body)
  return json instanceof Promise ? json.then(known) : known(json)
}

/** A value out of the message on its topic's channel: its fields a line each, the body last. */
export function storedIn(message: Buffer): Soon<Stored | undefined> {
  const fields: Buffer[] = []
  let start = 0
  for (let i = 0; i < 7; i++) {
    const end = message.indexOf('\n', start)
    if (end === -1) return undefined
    fields.push(message.subarray(start, end))
    start = end + 1
  }
  const [epoch, sequence, hash, changedAt, checkedAt, absentFor, reason] = fields
  return storedOf([epoch, sequence, hash, changedAt, checkedAt, message.subarray(start), reason, absentFor].map(bytes))
}

function bytes(field: Buffer | undefined): Buffer {
  return field ?? Buffer.alloc(0)
}

/** The same the other way. */
export async function storedOut({
  version,
  hash,
  lineage,
  over,
  changedAt,
  checkedAt,
  json,
  reason,
  absentFor,
}: Stored): Promise<Buffer> {
  const { epoch, sequence } = version
  const lines = [
    epoch,
    sequence,
    hashText(hash, { lineage, over }),
    changedAt,
    checkedAt,
    absentFor ?? '',
    reason === undefined ? '' : JSON.stringify(reason),
  ]
  return Buffer.concat([
    Buffer.from(`${lines.join('\n')}\n`),
    json === undefined ? bytes(undefined) : await packed(json),
  ])
}
