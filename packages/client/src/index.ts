export {
  type Client,
  type ClientOptions,
  createClient,
  type Memory,
  type SharedEvents,
  type Status,
} from './client.ts'
export type { Connection, ConnectionState, Transport } from './connection.ts'
export type { Entry } from './entry.ts'
export type { Ports } from './ports.ts'
export { ProblemError } from './problem-error.ts'
