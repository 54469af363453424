import { GraphQLError, Kind, type SelectionSetNode, type ValidationRule } from 'graphql'
import { WeirError } from '../../errors.ts'

/** What a document may ask for. */
export interface DocumentLimits {
  /** Fields inside fields. */
  readonly maxDepth: number
  /** A field of a feed or a log counts ten, each field inside it one; a page of a log counts ten times that. */
  readonly maxCost: number
  readonly maxAliases: number
}

/** What a field of a feed or a log costs: it may be a call to an upstream. */
const TOPIC_COST = 10

/** How much more a page costs: its fields are read of each of its events. */
const PAGE_COST = 10

const NONE: DocumentLimits = { maxDepth: 0, maxCost: 0, maxAliases: 0 }

/** A rule of validation that refuses documents that are too deep, cost too much or have too many aliases. */
export function limitsRule(limits: DocumentLimits): ValidationRule {
  return (context) => {
    // Each fragment is measured once: one that is spread a thousand times, a thousand levels down, must not be walked each time.
    const fragments = new Map<string, DocumentLimits>()
    const schema = context.getSchema()
    const queries = schema.getQueryType()
    const tops = [queries?.name, schema.getSubscriptionType()?.name]

    /** @param type name of the type whose fields these are, where it is one at the top */
    function sizeOf(set: SelectionSetNode | undefined, type: string | undefined): DocumentLimits {
      let total = NONE
      for (const selection of set?.selections ?? []) {
        if (selection.kind === Kind.FRAGMENT_SPREAD) total = sum(total, sizeOfFragment(selection.name.value))
        else if (selection.kind === Kind.INLINE_FRAGMENT)
          total = sum(total, sizeOf(selection.selectionSet, selection.typeCondition?.name.value ?? type))
        else {
          const name = selection.name.value
          const { maxDepth, maxCost, maxAliases } = sizeOf(selection.selectionSet, undefined)
          // How deep introspection may go is a rule of its own, of GraphQL's; and it asks no feed.
          const ours = !name.startsWith('__')
          const top = ours && tops.includes(type)
          const page = type === queries?.name && queries?.getFields()[name]?.extensions.page === true
          total = sum(total, {
            maxDepth: ours ? maxDepth + 1 : 1,
            maxCost: (maxCost + (top ? TOPIC_COST : 1)) * (page ? PAGE_COST : 1),
            maxAliases: maxAliases + (selection.alias === undefined ? 0 : 1),
          })
        }
      }
      return total
    }

    function sizeOfFragment(name: string): DocumentLimits {
      const known = fragments.get(name)
      if (known !== undefined) return known
      // One that holds itself is refused by another rule; here it must only come to an end.
      fragments.set(name, NONE)
      const fragment = context.getFragment(name)
      const size = sizeOf(fragment?.selectionSet, fragment?.typeCondition.name.value)
      fragments.set(name, size)
      return size
    }

    return {
      OperationDefinition(node) {
        const sizes = sizeOf(node.selectionSet, schema.getRootType(node.operation)?.name)
        for (const name of ['maxDepth', 'maxCost', 'maxAliases'] as const) {
          if (sizes[name] <= limits[name]) continue
          const message = `${name}: expected at most ${limits[name]}, got ${sizes[name]}`
          context.reportError(
            new GraphQLError(message, { nodes: [node], originalError: new WeirError('query_too_complex', message) }),
          )
        }
      },
    }
  }
}

function sum(one: DocumentLimits, other: DocumentLimits): DocumentLimits {
  return {
    maxDepth: Math.max(one.maxDepth, other.maxDepth),
    maxCost: one.maxCost + other.maxCost,
    maxAliases: one.maxAliases + other.maxAliases,
  }
}
