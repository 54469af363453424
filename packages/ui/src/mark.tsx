/** Weir's logo, next to the name of a page. */
export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">
      <path d="M3 7h9c3 0 3 3 3 5s0 5 3 5h3M3 12h6M3 17h8" />
    </svg>
  )
}
