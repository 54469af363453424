export type { LogPage } from './log-page.ts'
export type {
  Absent,
  Failure,
  Gap,
  Goodbye,
  Heartbeat,
  Hello,
  Level,
  LevelChange,
  LogEvent,
  ServerMessage,
  Snapshot,
} from './message.ts'
export type { Problem } from './problem.ts'
export type { ValueOf, Values } from './values.ts'
export { compareVersions, formatVersion, parseVersion, type Version } from './version.ts'
