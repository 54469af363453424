import type { MaybePromise } from '../../call.ts'
import type { Stored } from '../../entry.ts'
import { compressJson, decompressJson } from './compressed-json.ts'
import type { Moments } from './moments.ts'
import type { Reply } from './server.ts'

/** What a stored value is read with. */
export interface Reading {
  /** A key or channel of it: its server says by which clock its moments are. */
  readonly key: string
  readonly moments: Moments
  /** When it was asked for, wall time; not known of what came by itself. */
  readonly asked?: number
}

/** The hash as it is written: of an origin's value with its lineages, so that nodes of an earlier version read it too. */
export function hashText(hash: string, { lineage, over = '' }: Pick<Stored, 'lineage' | 'over'>): string {
  return lineage === undefined ? hash : `${hash}.${lineage}.${over}`
}

/** A value out of the fields that scripts give, and the server's time; undefined when it is not there, or can't be read. */
export function storedOf(reply: Reply, { key, moments, asked }: Reading): MaybePromise<Stored | undefined> {
  if (!Array.isArray(reply)) return undefined
  const [epoch, sequence, hash, changedAt, checkedAt, body, reason, absentFor, staleAt, now] = reply
  const text = (field: Reply | undefined) => (Buffer.isBuffer(field) ? field.toString() : '')
  if (text(now) !== '') moments.learn(key, Number(text(now)), asked)
  if (!Buffer.isBuffer(epoch)) return undefined
  const moment = (field: Reply | undefined) => moments.here(key, Number(text(field)))
  const [name = '', lineage, over] = text(hash).split('.')
  const stored = (json: Buffer | undefined): Stored => ({
    version: { epoch: Number(text(epoch)), sequence: Number(text(sequence)) },
    hash: name,
    ...(lineage && { lineage }),
    ...(over && { over }),
    changedAt: moment(changedAt),
    checkedAt: moment(checkedAt),
    json,
    reason: text(reason) === '' ? undefined : String(JSON.parse(text(reason))),
    absentFor: text(absentFor) === '' ? undefined : Number(text(absentFor)),
    ...(text(staleAt) === '' ? {} : { staleAt: moment(staleAt) }),
  })
  // No JSON text is empty, so an empty body is an absent value.
  if (!Buffer.isBuffer(body) || body.byteLength === 0) return stored(undefined)
  const known = (json: Buffer | undefined) => (json === undefined ? undefined : stored(json))
  const json = decompressJson(body)
  return json instanceof Promise ? json.then(known) : known(json)
}

/** Lines before the body of a message. */
const LINES = 9

/** A value out of the message on its topic's channel: its fields a line each, the server's time, the body last. */
export function storedIn(message: Buffer, reading: Reading): MaybePromise<Stored | undefined> {
  const fields: Buffer[] = []
  let start = 0
  for (let i = 0; i < LINES; i++) {
    const end = message.indexOf('\n', start)
    if (end === -1) return undefined
    fields.push(message.subarray(start, end))
    start = end + 1
  }
  const [epoch, sequence, hash, changedAt, checkedAt, absentFor, reason, staleAt, now] = fields
  const body = message.subarray(start)
  const all = [epoch, sequence, hash, changedAt, checkedAt, body, reason, absentFor, staleAt, now]
  return storedOf(all.map(bytes), reading)
}

function bytes(field: Buffer | undefined): Buffer {
  return field ?? Buffer.alloc(0)
}

/** The same the other way. It does not say what time it is: no server has written it. */
export async function storedOut(stored: Stored, { key, moments }: Reading): Promise<Buffer> {
  const { version, hash, changedAt, checkedAt, json, reason, absentFor, staleAt } = stored
  const { epoch, sequence } = version
  const lines = [
    epoch,
    sequence,
    hashText(hash, stored),
    moments.there(key, changedAt),
    moments.there(key, checkedAt),
    absentFor ?? '',
    reason === undefined ? '' : JSON.stringify(reason),
    staleAt === undefined ? '' : moments.there(key, staleAt),
    '',
  ]
  return Buffer.concat([
    Buffer.from(`${lines.join('\n')}\n`),
    json === undefined ? bytes(undefined) : await compressJson(json),
  ])
}
