import { createElement, type ReactNode } from 'react'
import { hydrateRoot } from 'react-dom/client'
import { renderToString } from 'react-dom/server'
import { createClient } from '../../src/index.ts'
import { useFeed, useFeeds, WeirContext } from '../../src/react.ts'

const client = createClient()
const errors: string[] = []

function Page(): ReactNode {
  const one = useFeed<{ path: string }>('/items/still')
  const many = useFeeds<{ path: string }>(['/items/still', '/nowhere'])
  return createElement(
    'p',
    null,
    `${one.status.state} ${one.value?.path} `,
    many.map(({ value, problem }) => problem?.code ?? value?.path ?? 'nothing').join(' '),
  )
}

// The client knows the value before hydration.
const stop = client.subscribe('/items/still', () => {
  if (client.status().state !== 'live') return
  setTimeout(() => {
    const element = createElement(WeirContext, { value: client }, createElement(Page))
    const place = document.body.appendChild(document.createElement('div'))
    place.innerHTML = renderToString(element)
    const drawn = place.textContent
    hydrateRoot(place, element, { onRecoverableError: (error) => errors.push(String(error)) })
    Object.assign(globalThis, { drawn, errors })
    stop()
  })
})
