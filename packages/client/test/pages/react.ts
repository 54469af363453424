import { createElement, type ReactNode, StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { createClient } from '../../src/index.ts'
import { useFeed, useFeeds, WeirContext } from '../../src/react.ts'

const client = createClient()
const drawn = { one: 0, many: 0 }

function One({ topic }: { readonly topic: string }): ReactNode {
  const { value, version, status, stale, age } = useFeed<{ count: number }>(topic)
  drawn.one += 1
  const text = value === undefined ? 'nothing' : `${value.count} ${version} ${status.state} ${stale} ${age() < 5000}`
  return createElement('p', { id: 'one' }, text)
}

function Many(): ReactNode {
  const feeds = useFeeds<{ path: string }>(['/items/still', '/items/b'])
  drawn.many += 1
  return createElement('p', { id: 'many' }, feeds.map(({ value }) => value?.path ?? '–').join(' '))
}

function Page(): ReactNode {
  const [there, setThere] = useState(true)
  const button = createElement('button', { type: 'button', onClick: () => setThere(!there) }, 'toggle')
  return [
    createElement('div', { key: 'button' }, button),
    there && createElement(One, { key: 'one', topic: '/items/still' }),
    createElement(Many, { key: 'many' }),
  ]
}

const place = document.body.appendChild(document.createElement('div'))
createRoot(place).render(
  createElement(StrictMode, null, createElement(WeirContext, { value: client }, createElement(Page))),
)
Object.assign(globalThis, { client, drawn })
