import { createElement, type ReactNode } from 'react'
import { renderToString } from 'react-dom/server'
import { expect, test } from 'vitest'
import { createClient } from '../src/index.ts'
import { useFeed, useFeeds, WeirContext } from '../src/react.ts'

function Shown(): ReactNode {
  const one = useFeed('/items/a')
  const many = useFeeds(['/items/a', '/items/b'])
  return `${one.status.state} ${one.version} ${one.age()} ${many.length}`
}

test('renders an empty state on a server, without a connection', () => {
  const client = createClient({ url: 'http://127.0.0.1:9' })
  const html = renderToString(createElement(WeirContext, { value: client }, createElement(Shown)))
  expect(html).toBe('connecting undefined NaN 2')
  expect(client.status().state).toBe('idle')
})
