export type { Absent, Failure, Goodbye, Heartbeat, Hello, Level, ServerMessage, Snapshot } from './message.ts'
export type { Problem } from './problem.ts'
export { compareVersions, formatVersion, parseVersion, type Version } from './version.ts'
