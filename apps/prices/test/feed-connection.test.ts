import { describe, expect, test } from 'vitest'
import { backoff, type ConnectionState, FeedConnection, readMessage } from '../page/src/feed-connection.ts'
import { World } from './world.ts'

const HELLO = '{"now":1000,"heartbeat":5000,"level":"normal"}'

function connect() {
  const world = new World()
  const states: ConnectionState[] = []
  const heard: string[] = []
  const connection = new FeedConnection('/api/stream?mints=A', world, {
    message: (message) => heard.push(message.type),
    state: (state) => states.push(state),
  })
  connection.start()
  return { world, states, heard, connection }
}

/** How long the connection waits before its next try, which has begun when this returns. */
function pause(connection: FeedConnection, world: World): number {
  const { state } = connection
  if (state.phase !== 'waiting') throw new Error(`a lost connection should wait, and is ${state.phase}`)
  const wait = state.retryAt - world.time
  world.pass(wait)
  return wait
}

describe('a connection', () => {
  test('is open once the server has said hello', () => {
    const { world, connection, heard } = connect()
    expect(connection.state.phase).toBe('connecting')
    world.last.event('hello', HELLO)
    expect(connection.state).toEqual({ phase: 'open', heartbeat: 5000, level: 'normal' })
    expect(heard).toEqual(['hello'])
  })

  test.each([
    ['level', '{"level":"strained","now":2000}'],
    ['heartbeat', '{"topic":"/prices/A","version":"1:1","checkedAt":1,"stale":false,"now":2000,"level":"strained"}'],
  ])('knows the level of the gateway by its %s', (type, data) => {
    const { world, connection } = connect()
    world.last.event('hello', HELLO)
    world.last.event(type, data)
    expect(connection.state).toEqual({ phase: 'open', heartbeat: 5000, level: 'strained' })
  })

  test('counts two heartbeats of silence as a loss, and any word as life', () => {
    const { world, connection } = connect()
    world.last.event('hello', HELLO)
    world.pass(9_999)
    world.last.event('heartbeat', '{"topic":"/prices/A","version":"1:1","level":"normal"}')
    world.pass(9_999)
    expect(connection.state.phase).toBe('open')
    world.pass(1)
    expect(connection.state.phase).toBe('waiting')
    expect(world.last.closed).toBe(true)
  })

  test('comes back by itself after a failure, and remembers since when it was away', () => {
    const { world, connection } = connect()
    world.last.event('hello', HELLO)
    world.pass(8_000)
    world.last.failed()
    expect(connection.state).toEqual({ phase: 'waiting', lostAt: 8_000, retryAt: 8_250 })
    world.pass(250)
    expect(world.opened).toHaveLength(2)
    expect(connection.state).toEqual({ phase: 'connecting', lostAt: 8_000 })
    world.last.failed()
    expect(connection.state).toEqual({ phase: 'waiting', lostAt: 8_000, retryAt: 8_750 })
    world.pass(500)
    world.last.event('hello', HELLO)
    expect(connection.state.phase).toBe('open')
  })

  test('gives up a server that accepts but never speaks', () => {
    const { world, connection } = connect()
    world.pass(10_000)
    expect(connection.state.phase).toBe('waiting')
  })

  test('backs off further from a server that greets and drops', () => {
    const { world, connection } = connect()
    const waits: number[] = []
    for (let round = 0; round < 4; round += 1) {
      world.last.event('hello', HELLO)
      world.last.failed()
      waits.push(pause(connection, world))
    }
    expect(waits).toEqual([250, 500, 1_000, 2_000])
  })

  test('begins its pauses anew after a connection that held', () => {
    const { world, connection } = connect()
    const waits: number[] = []
    for (const alive of [0, 0, 6_000, 0]) {
      world.last.event('hello', HELLO)
      world.pass(alive)
      world.last.failed()
      waits.push(pause(connection, world))
    }
    expect(waits).toEqual([250, 500, 250, 500])
  })

  test('comes back when a goodbye says', () => {
    const { world, connection } = connect()
    world.last.event('hello', HELLO)
    world.last.event('goodbye', '{"retry":1234}')
    expect(connection.state).toMatchObject({ phase: 'waiting', retryAt: 1_234 })
    world.pass(1_234)
    expect(world.opened).toHaveLength(2)
  })

  test('does not listen to a stream it has given up', () => {
    const { world, heard } = connect()
    const first = world.last
    first.event('hello', HELLO)
    first.failed()
    first.event('snapshot', '{"topic":"/prices/A","version":"1:1"}')
    first.failed()
    expect(heard).toEqual(['hello'])
    world.pass(250)
    expect(world.opened).toHaveLength(2)
  })

  test('tries at once when asked, and not twice', () => {
    const { world, connection } = connect()
    world.last.failed()
    connection.retryNow()
    connection.retryNow()
    expect(world.opened).toHaveLength(2)
    world.pass(9_999)
    expect(world.opened).toHaveLength(2)
  })

  test('stays away once closed', () => {
    const { world, connection, states } = connect()
    connection.close()
    const said = states.length
    world.last.failed()
    world.pass(60_000)
    expect(world.opened).toHaveLength(1)
    expect(states).toHaveLength(said)
  })
})

test('pauses are anywhere below a cap that doubles up to fifteen seconds', () => {
  expect(backoff(0, 0)).toBe(0)
  expect([0, 1, 2, 3, 4, 5, 50].map((failures) => backoff(failures, 1))).toEqual([
    500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000,
  ])
})

test('events that are none of the protocol, or not JSON, are passed over', () => {
  expect(readMessage('hello', HELLO)).toMatchObject({ type: 'hello', heartbeat: 5000 })
  expect(readMessage('gossip', '{}')).toBeUndefined()
  expect(readMessage('hello', '{')).toBeUndefined()
  expect(readMessage('hello', '3')).toBeUndefined()
})
