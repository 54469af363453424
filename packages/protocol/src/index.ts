export type {
  Absent,
  Failure,
  Goodbye,
  Heartbeat,
  Hello,
  Level,
  LevelChange,
  ServerMessage,
  Snapshot,
} from './message.ts'
export type { Problem } from './problem.ts'
export type { ValueOf, Values } from './values.ts'
export { compareVersions, formatVersion, parseVersion, type Version } from './version.ts'
