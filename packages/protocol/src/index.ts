export { CLOSE_CODES, type CloseName, comeBack } from './close.ts'
export type { SocketLimits } from './limits.ts'
export { judge, type Line, newLine, START_OVER_AFTER, type Verdict } from './lineage.ts'
export type { LogPage } from './log-page.ts'
export type {
  Absent,
  Beat,
  Failure,
  Gap,
  Goodbye,
  Heartbeat,
  Hello,
  Level,
  LevelChange,
  LogEvent,
  Patch,
  Pong,
  Published,
  Refusal,
  ServerMessage,
  Snapshot,
  SocketMessage,
  Subscribed,
} from './message.ts'
export { applyPatch, makePatch } from './patch.ts'
export type { Problem } from './problem.ts'
export type { ClientMessage, Get, Ping, Publish, RequestId, Subscribe, Unsubscribe } from './request.ts'
export type { ValueOf, Values } from './values.ts'
export { compareVersions, formatVersion, parseVersion, type Version } from './version.ts'
