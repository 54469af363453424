type Members = Readonly<Record<string, unknown>>

/** Maximum nesting of a value that is compared. Deeper values are sent whole. */
const MAX_DEPTH = 64

/** Applies a JSON Merge Patch (RFC 7396). Neither argument is changed. */
export function applyPatch(target: unknown, patch: unknown): unknown {
  if (!isMembers(patch)) return patch
  // A Map and entries, so that a member called `__proto__` is a member like any other.
  const members = new Map(isMembers(target) ? Object.entries(target) : [])
  for (const [name, part] of Object.entries(patch)) {
    if (part === null) members.delete(name)
    else members.set(name, applyPatch(members.get(name), part))
  }
  return Object.fromEntries(members)
}

/**
 * The JSON Merge Patch from `from` to `to`; undefined if none has exactly that result. A patch cannot set null inside
 * objects, and between values that are not objects it is the whole value. Both must be JSON values.
 */
export function makePatch(from: unknown, to: unknown): Members | undefined {
  return isMembers(from) && isMembers(to) ? difference(from, to, MAX_DEPTH) : undefined
}

function difference(from: Members, to: Members, depth: number): Members | undefined {
  if (depth === 0) return undefined
  const patch: [string, unknown][] = []
  for (const name of Object.keys(from)) if (!Object.hasOwn(to, name)) patch.push([name, null])
  for (const [name, now] of Object.entries(to)) {
    const before = Object.hasOwn(from, name) ? from[name] : undefined
    if (isMembers(before) && isMembers(now)) {
      const inner = difference(before, now, depth - 1)
      if (inner === undefined) return undefined
      if (Object.keys(inner).length > 0) patch.push([name, inner])
    } else if (!same(before, now, depth - 1)) {
      if (!isSettable(now, depth - 1)) return undefined
      patch.push([name, now])
    }
  }
  return Object.fromEntries(patch)
}

/** Whether a patch can set this value: null would remove the member instead. */
function isSettable(value: unknown, depth: number): boolean {
  if (value === null || depth === 0) return false
  return !isMembers(value) || Object.values(value).every((part) => isSettable(part, depth - 1))
}

function same(a: unknown, b: unknown, depth: number): boolean {
  if (Object.is(a, b)) return true
  if (depth === 0 || typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false
    return a.every((part, index) => same(part, b[index], depth - 1))
  }
  const names = Object.keys(a)
  if (names.length !== Object.keys(b).length) return false
  return names.every((name) => Object.hasOwn(b, name) && same((a as Members)[name], (b as Members)[name], depth - 1))
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
