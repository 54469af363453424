import { applyPatch, makePatch, type Patch, type Version } from '@weir/protocol'
import { Encoded, type Entry } from '../entry.ts'

/** Bytes of a value below which a patch would not be smaller, and above which comparing would hold up the event loop. */
const LEAST = 64
const MOST = 512 * 1024

interface Made {
  readonly from: Version
  readonly patch: Encoded<Patch> | undefined
}

/** The patch to each entry. It names the version it is from and not the entry, which would keep all the past alive. */
const PATCHES = new WeakMap<Entry, Made>()

/**
 * What makes `to` of `from`, made once for all who have `from`; undefined when no patch says exactly that. All who keep up
 * have the same version: of others, the first to come is served.
 */
export function patchOf(from: Entry, to: Entry): Encoded<Patch> | undefined {
  const known = PATCHES.get(to)
  if (known !== undefined) return known.from === from.version ? known.patch : undefined
  const patch = make(from, to)
  PATCHES.set(to, { from: from.version, patch })
  return patch
}

function make(from: Entry, to: Entry): Encoded<Patch> | undefined {
  if (!comparable(from) || !comparable(to)) return undefined
  const patch = makePatch(from.value, to.value)
  // Whoever patches gets the same text, and with it the same ETag: members that are new would come last.
  if (patch === undefined || JSON.stringify(applyPatch(from.value, patch)) !== to.content.json?.toString())
    return undefined
  const { address: topic, versionText: version, lineage, changedAt, checkedAt } = to
  const more = { ...(to.stale && { stale: true as const }), ...(lineage !== undefined && { lineage }) }
  return new Encoded<Patch>({
    ...{ type: 'patch', topic, from: from.versionText, version, changedAt, checkedAt },
    ...{ ...more, patch },
  })
}

/** Whether a value is the same text after reading and writing: numbers with more digits than a double would lose them in a patch. */
function comparable({ content: { json }, value }: Entry): boolean {
  if (json === undefined || json.length < LEAST || json.length > MOST) return false
  try {
    return JSON.stringify(value) === json.toString()
  } catch {
    // A bigint, which has no JSON.
    return false
  }
}
