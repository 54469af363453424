import { feedKind } from './kinds/feed.ts'
import { logKind } from './kinds/log.ts'
import { proxyKind } from './kinds/proxy.ts'
import { rpcKind } from './kinds/rpc.ts'
import { socketKind } from './kinds/socket.ts'
import { streamKind } from './kinds/stream.ts'
import type { DeclaredPart, PartKind } from './parts.ts'

/** All kinds of part. A new one is a line here. */
export const KINDS = [feedKind, logKind, streamKind, proxyKind, rpcKind, socketKind] as const

type PartOf<Kind> = Kind extends PartKind<infer Part> ? Part : never

/** What an app is made of. */
export type Part = PartOf<(typeof KINDS)[number]>

const byName = new Map<string, PartKind>(KINDS.map((kind) => [kind.kind, kind]))

/** Whether it is a part of an app. */
export function isPart(given: unknown): given is Part {
  return typeof given === 'object' && given !== null && 'kind' in given && byName.has(given.kind as string)
}

/** The kind of a part. */
export function kindOf<Declared extends DeclaredPart>(part: Declared): PartKind<Declared> {
  const kind = byName.get(part.kind)
  if (kind === undefined) throw new TypeError(`expected a kind of part, got ${part.kind}`)
  return kind as PartKind<Declared>
}
