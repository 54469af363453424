import type { Entry } from '@weir/client'
import { expect, test } from 'vitest'
import { addUpdate, type HistoryEvent, type HistoryLine, MOST_LINES } from '../page/src/history-lines.ts'

const times = { changedAt: 1, checkedAt: 1, stale: false, log: true } as const

function event(sequence: number, value: Partial<HistoryEvent>): Entry<HistoryEvent> {
  const signature = `s${sequence}`
  return { topic: 'log', version: `5:${sequence}`, value: { signature, at: sequence, entries: [], ...value }, ...times }
}

function gap(from: string, to: string): Entry<HistoryEvent> {
  return { topic: 'log', version: to, value: undefined, gap: { from, to }, ...times }
}

const entered = (wallet: string, tickets = 1) => ({ entries: [{ wallet, tickets, amount: tickets * 1000 }] })

test('the newest line is first, and only visible lines are kept', () => {
  let lines: readonly HistoryLine[] = []
  for (let at = 1; at <= MOST_LINES + 5; at += 1) lines = addUpdate(lines, event(at, entered(`w${at}`)))
  expect(lines).toHaveLength(MOST_LINES)
  expect(lines[0]).toMatchObject({ kind: 'entry', wallet: `w${MOST_LINES + 5}` })
})

test('one transaction may contain two entries, and an entry in a draw belongs to the new round', () => {
  const draw = { winner: 'w', amount: 7, tickets: 3 }
  const lines = addUpdate([], event(1, { entries: [...entered('a').entries, ...entered('b', 2).entries], draw }))
  expect(lines.map(({ kind }) => kind)).toEqual(['entry', 'entry', 'draw'])
  expect(new Set(lines.map(({ key }) => key)).size).toBe(3)
})

test('a gap shows how many are missing; after a restart of the history the number is unknown, and no line is duplicated', () => {
  const before = addUpdate([], event(1, entered('a')))
  expect(addUpdate(before, gap('5:1', '5:4'))).toMatchObject([{ kind: 'gap', missed: 3 }, { kind: 'entry' }])
  expect(addUpdate(before, gap('5:1', '6:0'))).toEqual([{ kind: 'gap', key: '6:0', missed: undefined }])
})
