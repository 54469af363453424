import type { Problem } from '@weir/protocol'
import { GraphQLError } from 'graphql'
import { asWeirError, ERRORS, type ErrorCode, problemOf, WeirError } from '../../errors.ts'
import type { Emit } from '../../events.ts'

/** Puts our code into the `extensions` of an error; the message of an internal failure is not sent. */
export type CodedError = (error: GraphQLError) => GraphQLError

/** @param suggests whether errors may name what the schema has instead */
export function codedBy(emit: Emit, suggests: boolean): CodedError {
  return (error) => {
    const { extensions, originalError, path } = error
    if (Object.hasOwn(ERRORS, String(extensions.code))) return error
    // Only a document can be nested so deeply: what it asks for is bounded, and so are its variables.
    if (originalError instanceof RangeError) return withCode(error, TOO_DEEP, 'expected a document with fewer levels')
    if (originalError instanceof WeirError) return withCode(error, extensionsOf(problemOf(originalError)))
    // Only execution knows where in the answer it was, and there only we can be wrong.
    if (path !== undefined || (originalError !== undefined && !(originalError instanceof GraphQLError))) {
      // The client left before its answer: nothing failed.
      if (originalError?.name !== 'AbortError')
        emit({ type: 'failed', where: 'graphql', error: originalError ?? error })
      const problem = problemOf(asWeirError(originalError))
      return withCode(error, extensionsOf(problem), problem.detail)
    }
    const message = suggests ? error.message : error.message.replace(/ Did you mean .*$/s, '')
    return withCode(error, { code: codeOf(extensions), retry: false }, message)
  }
}

const TOO_DEEP = { code: 'bad_document', retry: false } as const

/** Characters of the longest message: graphql prints a refused argument with all of its levels, each indented. */
const LONGEST_MESSAGE = 500

function codeOf({ code, http }: GraphQLError['extensions']): ErrorCode {
  if ((http as { readonly status?: number } | undefined)?.status === 405) return 'method_not_allowed'
  return code === 'BAD_REQUEST' ? 'bad_request' : 'bad_document'
}

function withCode(
  { nodes, source, positions, path, extensions: { http }, message: given }: GraphQLError,
  coded: Readonly<Record<string, unknown>>,
  message: string = given,
): GraphQLError {
  // What is no request of GraphQL at all is 400, whatever form its answer has; yoga would say 200 to some.
  const status = coded.code === 'bad_request' ? { status: ERRORS.bad_request.status } : http
  const extensions = status === undefined ? coded : { ...coded, http: status }
  const short = message.length > LONGEST_MESSAGE ? `${message.slice(0, LONGEST_MESSAGE - 3)}...` : message
  return new GraphQLError(short, { nodes, source, positions, path, extensions })
}

/** What of a problem goes into the `extensions` of an error. */
export function extensionsOf({ code, retry, retryAfter, requestId }: Problem): Readonly<Record<string, unknown>> {
  return { code, retry, ...(retryAfter !== undefined && { retryAfter }), ...(requestId !== undefined && { requestId }) }
}
